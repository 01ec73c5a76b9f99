"""SQL functions that take an image, as a uri or as bytes, and give its score; classic sessions and Spark Connect.

    from popspark.scoring.register import register
    register(spark, bundles={"popularity": "models/demo-vscnn", "intrinsic": "warehouse/models/ranker"})

| function | of | gives a struct of |
|---|---|---|
| image_features(image) | the families | an array per family |
| NAME_score(image[, social]) | each bundle | score, percentile |
| NAME_contributions(image[, social]) | each bundle | score, baseline, and what each family adds |
| NAME_beats(image_l, image_r) | each ranker | probability, score_l, score_r |

and in each struct status and error: a row that cannot be scored says why, and never fails the query. social: a struct
of social values by name, e.g. `struct(s.*)` of a row of `popspark.posts.social.social_features`; what it lacks is
unknown, which is 0. Without it the image is all that is known.

To Spark the functions are non-deterministic, for else it would decode an image once per field that is read from the
result. So compute the struct in a subquery, and filter, sort and aggregate outside. To compare every image with every
other, score each once: the probability is 1 / (1 + exp(r.score - l.score)).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from popspark.features.extraction import Extraction, build_udf
from popspark.features.plan import PlannedFamily, plan_bundle, plan_features
from popspark.features.settings import BATCH_SIZE, FeatureSettings
from popspark.images.limits import DEFAULT_LIMITS, Limits
from popspark.models.bundle import Bundle, load_bundle
from popspark.models.shipping import ship_bundle
from popspark.networks.devices import Device
from popspark.runtime.config import validate_section
from popspark.runtime.errors import BundleError, ConfigError, closest
from popspark.runtime.session import ship_file, ship_package
from popspark.scoring.functions import build_beats, build_contributions, build_score

FAMILIES = FeatureSettings().families


def register(
    spark: SparkSession,
    bundles: Mapping[str, str | Path] | None = None,
    families: tuple[str, ...] = FAMILIES,
    device: Device = "auto",
    batch_size: int = BATCH_SIZE,
    weights: Mapping[str, str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[str, ...]:
    """Makes the functions of this module for the session's queries, and returns their names.

    bundles: by the name that their functions begin with. families: of `image_features`. weights: by family, as in
    `FeatureSettings`, for `families` and the bundles. Registered again, a function is replaced.

    Raises `ConfigError` for illegal names and values, `PathError` and `BundleError` for bundles that are missing,
    altered, or look at no image, `WeightsError` for missing weights; then no function is made.
    """
    weights, bundles = dict(weights or {}), dict(bundles or {})
    options = {"device": device, "batch_size": batch_size}
    functions: dict[str, Any] = {}
    loaded: list[Bundle] = []
    wanted = Extraction(_plan({**options, "families": families}, weights), device, batch_size, limits)
    functions["image_features"] = build_udf(wanted)
    planned = [*wanted.planned]
    for name, path in bundles.items():
        if not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise ConfigError("This name cannot begin a function's.", where="bundles", got=name, legal="like my_model2")
        bundle = load_bundle(Path(path))
        needs_image = {"visual", "fused"} & set(bundle.reductions)
        if not needs_image:
            raise BundleError("This bundle looks at no image.", where=str(path), legal="a bundle with image features")
        of_bundle = {family: file for family, file in weights.items() if family in bundle.feature_versions}
        families_of_it = plan_bundle(bundle, device, batch_size, of_bundle)
        extraction = Extraction(families_of_it, device, batch_size, limits)
        planned += extraction.planned
        loaded.append(bundle)
        functions[f"{name}_score"] = build_score(extraction, bundle, f"{name}_score")
        functions[f"{name}_contributions"] = build_contributions(extraction, bundle, f"{name}_contributions")
        if not bundle.network:
            functions[f"{name}_beats"] = build_beats(extraction, bundle, f"{name}_beats")
    names = {family.name for family in planned}
    if unused := set(weights) - names:
        hint = closest(min(unused), names) or None
        legal = ", ".join(sorted(names))
        raise ConfigError("Weights are set for families without use.", got=sorted(unused), legal=legal, fix=hint)
    ship_package(spark)
    for bundle in loaded:
        ship_bundle(spark, bundle)
    for weights_path in {family.weights_path for family in planned if family.weights_path}:
        ship_file(spark, weights_path)
    for name, function in functions.items():
        spark.udf.register(name, function)
    return tuple(functions)


def _plan(settings: Mapping[str, Any], weights: Mapping[str, str]) -> tuple[PlannedFamily, ...]:
    of_these = {name: path for name, path in weights.items() if name in settings["families"]}
    return plan_features(
        validate_section(FeatureSettings, {**settings, "weights": of_these}, "popspark.scoring.register.register")
    )
