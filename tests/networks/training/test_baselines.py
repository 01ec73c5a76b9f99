"""The baselines: the paper's settings, the stated ways out, the trivial ones."""

from __future__ import annotations

import numpy as np
import pytest

from popspark.training.baselines import fit_baseline, fit_mean, fit_user_mean
from popspark.training.settings import BaselineSettings

GENERATOR = np.random.default_rng(3)
VALUES = GENERATOR.normal(size=(400, 5)).astype(np.float32)
LABELS = (VALUES[:, 0] - 2 * VALUES[:, 1] + 3).astype(np.float32)
QUICK = BaselineSettings(gbdt_trees=300, nystroem_features=200)


def test_least_squares_finds_a_linear_label():
    fitted = fit_baseline("lr", VALUES, LABELS, QUICK)
    np.testing.assert_allclose(fitted.predict(VALUES), LABELS, atol=1e-4)


@pytest.mark.parametrize("model", ["lr", "svr", "dtr", "gbdt"])
def test_every_model_beats_the_mean(model):
    fitted = fit_baseline(model, VALUES[:300], LABELS[:300], QUICK)
    error = np.mean((fitted.predict(VALUES[300:]) - LABELS[300:]) ** 2)
    assert error < 0.3 * LABELS.var()


def test_within_the_caps_the_models_are_the_published_ones():
    assert fit_baseline("svr", VALUES, LABELS, BaselineSettings()).used == "SVR with RBF kernel, as published"
    assert fit_baseline("dtr", VALUES, LABELS, BaselineSettings()).used == "depth 10, as published"
    used = fit_baseline("gbdt", VALUES[:20], LABELS[:20], BaselineSettings()).used
    assert used == "2,000 trees of depth 10, exact splits, as published"


@pytest.mark.parametrize(
    ("model", "used"),
    [
        ("svr", "200 Nystroem features of the RBF kernel and a linear SVR: 400 rows are more than 399"),
        ("gbdt", "300 trees of depth 10 on binned values: 400 rows are more than 399"),
    ],
)
def test_above_its_cap_a_model_says_what_replaces_it_and_is_close(model, used):
    capped = BaselineSettings(svr_max_rows=399, gbdt_max_rows=399, gbdt_trees=300, nystroem_features=200)
    replaced = fit_baseline(model, VALUES, LABELS, capped)
    exact = fit_baseline(model, VALUES, LABELS, QUICK)
    assert replaced.used == used
    assert np.corrcoef(replaced.predict(VALUES), exact.predict(VALUES))[0, 1] > 0.95


def test_the_mean_is_the_same_for_everyone():
    fitted = fit_mean(np.array([1.0, 2.0, 6.0], np.float32))
    np.testing.assert_array_equal(fitted.predict(np.zeros(4)), [3.0] * 4)


def test_a_user_without_posts_gets_the_mean_of_all():
    fitted = fit_user_mean(np.array(["a", "a", "b"], object), np.array([1.0, 2.0, 6.0], np.float32))
    np.testing.assert_array_equal(fitted.predict(np.array(["b", "a", "new"], object)), [6.0, 1.5, 3.0])
