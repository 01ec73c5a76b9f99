"""A fitted ranker as a bundle that `score_posts` runs like any other."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import popspark
from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.models.bundle import Bundle, quantiles, write_bundle, write_trunk
from popspark.networks.weights import file_sha256
from popspark.report.card import render_card
from popspark.storage.examples import PairExamplesRecord
from popspark.training.ranker.facts import RankerFacts
from popspark.training.ranker.train import FittedRanker


def release_ranker(
    fitted: FittedRanker, facts: RankerFacts, record: PairExamplesRecord, name: str, version: str, folder: Path
) -> None:
    """Writes the bundle with its model card. record: of the pair examples.

    The reference of the percentiles are the scores of the training split's images, each once.
    """
    backbone, weights = fitted.settings.backbone, fitted.weights
    source, sha256 = (weights.path or "random"), (weights.sha256 if weights.path else None)
    trunk: dict[str, Any] = {}
    if fitted.trunk is not None:
        file = write_trunk(fitted.trunk, backbone, folder)
        source, sha256 = str(file), file_sha256(file)
        trunk = {"trunk": {"family": backbone, "file": file.name, "sha256": sha256}}
    features = FeatureSettings(
        families=(backbone,), weights={backbone: source}, weights_sha256={backbone: sha256} if sha256 else {}
    )
    (planned,) = plan_features(features)
    started_from = f"{weights.source}:{weights.sha256}" if weights.path else "random"
    manifest = {
        "name": name,
        "version": version,
        "kind": "ranker",
        "popspark": popspark.__version__,
        "decoder": record.decoder,
        "is_simulated": record.is_simulated,
        "features": [
            {
                "name": backbone,
                "version": planned.version,
                "dim": planned.family.dim,
                "weights": started_from if fitted.trunk is None else f"fitted:{sha256}",
            }
        ],
        "feature_settings": {"families": [backbone], "dtype": "float32"},
        **trunk,
        "pairs": record.pairs,
        "training": {
            "settings": fitted.settings.model_dump(),
            "started_from": started_from,
            **{key: value for key, value in asdict(facts).items() if key != "by_user"},  # users stay out of a release
        },
    }
    of_training = fitted.scores[fitted.pairs.splits["train"].images]
    bundle = Bundle(manifest, {}, {"visual": fitted.reduction}, quantiles(of_training))
    write_bundle(bundle, folder, render_card(manifest))
