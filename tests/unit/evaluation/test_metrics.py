"""Measures against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, spearmanr

from popspark.evaluation.metrics import (
    METRICS,
    Estimate,
    auc,
    bootstrap,
    calibration,
    mae,
    mse,
    pair_hits,
    share_by_users,
    spearman_rho,
    wilson,
)

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("n_levels", [2, 5, 1000])
def test_rho_equals_scipy_with_and_without_ties(n_levels: int) -> None:
    truth = RNG.integers(0, n_levels, 300)
    predicted = (truth + RNG.normal(0, n_levels, 300)).round(1)
    assert spearman_rho(truth, predicted) == pytest.approx(spearmanr(truth, predicted).statistic, abs=1e-12)


def test_rho_without_ties_is_the_textbook_s_formula() -> None:
    truth, predicted = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    assert spearman_rho(truth, predicted) == pytest.approx(1 - 6 * 4 / (5 * (25 - 1)))


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30, unique=True))
def test_rho_sees_only_the_order(values: list[int]) -> None:
    truth = np.array(values, np.float64)
    assert spearman_rho(truth, np.arctan(truth)) == pytest.approx(1.0)
    assert spearman_rho(truth, -(truth**3)) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([1.0, 2.0], [3.0, 3.0]), ([3.0, 3.0], [1.0, 2.0]), ([1.0], [1.0]), ([], []), ([1.0, 2.0], [1.0, math.nan])],
)
def test_rho_is_nan_where_there_is_no_order(truth: list[float], predicted: list[float]) -> None:
    assert math.isnan(spearman_rho(np.array(truth), np.array(predicted)))


def test_errors_in_closed_form() -> None:
    truth, predicted = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.0])
    assert mae(truth, predicted) == pytest.approx(4 / 3)
    assert mse(truth, predicted) == pytest.approx(10 / 3)
    assert mae(truth, truth) == mse(truth, truth) == 0.0


def test_errors_are_summed_in_double_precision() -> None:
    truth = np.full(200_000, 16_777_216.0, np.float32)  # 2^24, where float32 no longer counts by ones
    assert mse(truth, truth.astype(np.float64) + 1) == 1.0
    assert mae(truth, truth.astype(np.float64) + 1) == 1.0


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """The mean absolute error of |N(0, 1)| is sqrt(2 / pi): of 200 intervals at 95 %, about 190 hold it."""
    zeros = np.zeros(100)
    found = [bootstrap(mae, zeros, RNG.normal(size=100), n_resamples=200, seed=i) for i in range(200)]
    assert all(e.low <= e.value <= e.high for e in found)
    n_covering = sum(e.low <= math.sqrt(2 / math.pi) <= e.high for e in found)
    assert 175 <= n_covering < 200


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    truth = RNG.normal(size=50)
    predicted = truth + RNG.normal(size=50)
    first = bootstrap(spearman_rho, truth, predicted, seed=3)
    assert first == bootstrap(spearman_rho, truth, predicted, seed=3)
    other = bootstrap(spearman_rho, truth, predicted, seed=4)
    assert (first.value, first.low) != (other.value, other.low)
    assert first.value == other.value


def test_resamples_without_an_order_are_left_out_of_the_interval() -> None:
    """Of three rows some resamples are constant; the rest still bound the value."""
    estimate = bootstrap(spearman_rho, np.array([1.0, 2, 3]), np.array([1.0, 2, 3]), n_resamples=100)
    assert estimate == Estimate(pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0))


def test_a_constant_prediction_has_no_interval() -> None:
    estimate = bootstrap(spearman_rho, np.array([1.0, 2, 3]), np.ones(3), n_resamples=50)
    assert math.isnan(estimate.value)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_the_table_of_metrics() -> None:
    assert {"spearman_rho": spearman_rho, "mae": mae, "mse": mse} == METRICS


# Of pairs


def test_hits_are_the_pairs_ranked_right_and_a_tie_is_half() -> None:
    assert pair_hits(np.array([2.0, -1.0, 3.0, -4.0]), np.array([0.1, 5.0, 0.0, -0.2])).tolist() == [1, 0, 0.5, 1]


def test_wilson_s_interval_is_scipy_s() -> None:
    for n_hits, n in ((0, 10), (10, 10), (37, 50), (1, 3)):
        expected = binomtest(n_hits, n).proportion_ci(0.95, "wilson")
        found = wilson(n_hits, n)
        assert (found.value, found.low, found.high) == pytest.approx(
            (n_hits / n, expected.low, expected.high), abs=1e-6
        )
    assert math.isnan(wilson(0, 0).value)


def test_users_that_agree_within_themselves_widen_the_interval() -> None:
    """20 users of 50 pairs, each all right or all wrong: as few as 20 coins, though there are 1,000 pairs."""
    users = np.repeat(np.arange(20), 50)
    hits = (users % 2).astype(float)
    found, naive = share_by_users(hits, users), wilson(hits.sum(), len(hits))
    coins = wilson(10, 20)
    assert found.value == 0.5
    assert found.high - found.low == pytest.approx(coins.high - coins.low, abs=0.08)
    assert found.high - found.low > 4 * (naive.high - naive.low)
    alone = share_by_users(hits, np.arange(1000))
    assert alone.high - alone.low == pytest.approx(naive.high - naive.low, abs=0.01)


def test_auc_equals_scikit_learn_s_with_and_without_ties() -> None:
    theirs = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with training")
    for n_levels in (3, 1000):
        positive, scores = RNG.integers(0, 2, 200), RNG.integers(0, n_levels, 200)
        assert auc(positive, scores) == pytest.approx(theirs.roc_auc_score(positive, scores), abs=1e-12)
    assert math.isnan(auc(np.ones(5), np.arange(5)))


def test_calibration_in_closed_form() -> None:
    confidences = np.array([0.52, 0.54, 0.9, 0.92, 1.0])
    bins, error = calibration(confidences, np.array([1.0, 0.0, 1.0, 1.0, 1.0]))
    assert [(b.confidence, b.hits.value) for b in bins] == [
        (pytest.approx(0.53), 0.5),
        (pytest.approx(0.91), 1.0),
        (1.0, 1.0),
    ]
    assert error == pytest.approx((2 * 0.03 + 2 * 0.09) / 5)
