"""Small bundles with made parameters over true families, for tests that score without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.models.bundle import Bundle, Reduction, quantiles, write_bundle

FAMILIES = ("color", "lbp")


def reduction(generator: np.random.Generator, n_in: int, n_out: int) -> Reduction:
    """Random numbers where a training would have put its own."""
    center, scale = generator.normal(size=n_in), generator.uniform(0.5, 2, n_in)
    parts = generator.normal(size=(n_out, n_in)), generator.normal(size=n_out), generator.uniform(0.5, 2, n_out)
    return Reduction(*(np.asarray(x, np.float32) for x in (center, scale, *parts)))


def features(families: tuple[str, ...] = FAMILIES) -> list[dict[str, Any]]:
    """As a manifest names them, with their present versions."""
    planned = plan_features(FeatureSettings(families=families))
    return [{"name": p.name, "version": p.version, "dim": p.family.dim, "weights": p.weights} for p in planned]


def _write(folder: Path, bundle: Bundle) -> Path:
    write_bundle(bundle, folder, "card")
    return folder


def write_ranker(folder: Path, seed: int = 0) -> Path:
    """A bundle whose reduction to one number is the score."""
    generator = np.random.default_rng(seed)
    rows = features()
    manifest = {"name": "made-ranker", "version": "1", "kind": "ranker", "is_simulated": True, "features": rows}
    visual = reduction(generator, sum(row["dim"] for row in rows), 1)
    return _write(folder, Bundle(manifest, {}, {"visual": visual}, _reference(generator)))


def write_vscnn(folder: Path, seed: int = 0) -> Path:
    """A VSCNN: 20 visual and 14 social components."""
    import torch

    from popspark.networks.vscnn import TOWERS, PopularityCNN

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = {name: value.numpy() for name, value in PopularityCNN(TOWERS["vscnn"]).state_dict().items()}
    last = [name for name in network if name.endswith("weight")][-1]
    network[last] = 100 * network[last]  # fresh networks say nearly the same of every picture
    rows = features()
    manifest = {
        "name": "made-vscnn",
        "version": "1",
        "kind": "vscnn",
        "is_simulated": True,
        "network": {"towers": TOWERS["vscnn"]},
        "features": rows,
        "feature_settings": {"dtype": "float32"},
        "social": {"mode": "point_in_time"},
    }
    visual = reduction(generator, sum(row["dim"] for row in rows), 20)
    reductions = {"visual": visual, "social": reduction(generator, 34, 14)}
    return _write(folder, Bundle(manifest, network, reductions, _reference(generator)))


def _reference(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    return quantiles(generator.normal(size=500))
