"""The popularity that a normal score stands for, and its mean over the noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import norm

from popspark.simulation.calibration import (
    LEVELS,
    QUANTILES,
    expected_popularity_of,
    popularity_of,
)


def test_each_level_stands_for_its_quantile():
    np.testing.assert_allclose(popularity_of(norm.ppf(LEVELS)), QUANTILES)


def test_scores_beyond_the_last_level_stand_for_the_extremes():
    assert popularity_of(np.array([-9.0, 9.0])).tolist() == [QUANTILES[0], QUANTILES[-1]]


def test_quantiles_are_those_of_the_public_labels(shared_data):
    labels = json.loads((shared_data / "labels.json").read_text())
    at_level = [labels["quantiles"][round(100 * level)] for level in LEVELS]
    assert list(QUANTILES) == at_level


def test_between_the_levels_the_public_labels_are_at_most_a_quarter_away(shared_data):
    labels = json.loads((shared_data / "labels.json").read_text())
    percent = np.arange(1, 100)
    ours = popularity_of(norm.ppf(percent / 100))
    np.testing.assert_allclose(ours, np.array(labels["quantiles"])[percent], atol=0.25)


def test_without_noise_the_expectation_is_the_popularity_itself():
    scores = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(expected_popularity_of(scores, 0.0), popularity_of(scores))


def test_with_nothing_but_noise_every_post_is_expected_at_the_overall_mean():
    overall = popularity_of(norm.ppf((np.arange(100_000) + 0.5) / 100_000)).mean()
    assert expected_popularity_of(np.array([0.0]), 1.0) == pytest.approx([overall], abs=0.01)


def test_the_expectation_agrees_with_draws():
    draws = popularity_of(0.7 + 0.6 * norm.ppf((np.arange(100_000) + 0.5) / 100_000))
    assert expected_popularity_of(np.array([0.7]), 0.6) == pytest.approx([draws.mean()], abs=0.005)
