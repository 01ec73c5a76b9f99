"""Contributions: exact where the answer is known, and adding up where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from popspark.models.bundle import load_bundle
from popspark.models.contributions import contributions
from popspark.models.predictor import Predictor
from tests.made_bundles import write_ranker, write_vscnn

DIMS = {"color": 32, "lbp": 59}


def made_values(n_rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {name: generator.normal(size=(n_rows, dim)) for name, dim in DIMS.items()}


def test_of_a_linear_bundle_each_is_its_own_term(tmp_path: Path) -> None:
    predictor = Predictor(load_bundle(write_ranker(tmp_path / "ranker")))
    values = made_values(5)
    parts, baseline = contributions(predictor, values, np.zeros((5, 34)), {})
    visual = predictor.bundle.reductions["visual"]
    np.testing.assert_allclose(baseline, -visual.out_mean[0] / visual.out_scale[0], rtol=1e-6)
    for name, start in (("color", 0), ("lbp", 32)):
        columns = slice(start, start + DIMS[name])
        term = (values[name] - visual.center[columns]) / visual.scale[columns] @ visual.components[0, columns]
        np.testing.assert_allclose(parts[name], term / visual.out_scale[0], atol=1e-4)


def test_of_a_network_they_add_up_to_the_score(tmp_path: Path) -> None:
    predictor = Predictor(load_bundle(write_vscnn(tmp_path / "vscnn")))
    values, social = made_values(4), np.random.default_rng(4).normal(size=(4, 34))
    groups = {"user": slice(0, 5), "post": slice(5, 10), "time": slice(10, 34)}
    parts, baseline = contributions(predictor, values, social, groups)
    projected = sum(predictor.project(name, rows) for name, rows in values.items())
    np.testing.assert_allclose(baseline + sum(parts.values()), predictor.score(projected, social), atol=1e-5)
    assert np.ptp(baseline) == pytest.approx(0, abs=1e-6)
    assert set(parts) == {"color", "lbp", "user", "post", "time"}


def test_a_family_at_the_training_mean_contributes_nothing(tmp_path: Path) -> None:
    predictor = Predictor(load_bundle(write_vscnn(tmp_path / "vscnn")))
    values, social = made_values(3), np.random.default_rng(4).normal(size=(3, 34))
    values["lbp"] = np.tile(predictor.bundle.reductions["visual"].center[32:], (3, 1))
    social[:, 5:10] = predictor.social_means[5:10]
    parts, _ = contributions(predictor, values, social, {"post": slice(5, 10)})
    np.testing.assert_allclose(parts["lbp"], 0, atol=1e-5)
    np.testing.assert_allclose(parts["post"], 0, atol=1e-5)
    assert np.abs(parts["color"]).max() > 1e-3


def test_inputs_are_not_changed(tmp_path: Path) -> None:
    predictor = Predictor(load_bundle(write_vscnn(tmp_path / "vscnn")))
    values, social = made_values(2), np.ones((2, 34))
    contributions(predictor, values, social, {"user": slice(0, 5)})
    assert (social == 1).all()
