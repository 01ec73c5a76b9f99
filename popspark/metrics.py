"""Measures of a prediction: arrays in, floats out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[Any]
Metric = Callable[[Floats, Floats], float]


def spearman_rho(truth: Floats, predicted: Floats) -> float:
    """Pearson's correlation of the ranks, ties at their mean rank; NaN where one side is constant."""
    if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(truth), rankdata(predicted))[0, 1])


def mae(truth: Floats, predicted: Floats) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(np.asarray(truth, np.float64) - predicted)))


def mse(truth: Floats, predicted: Floats) -> float:
    """Mean squared error."""
    return float(np.mean((np.asarray(truth, np.float64) - predicted) ** 2))


METRICS: dict[str, Metric] = {"spearman_rho": spearman_rho, "mae": mae, "mse": mse}


@dataclass(frozen=True)
class Estimate:
    """A value with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def _interval(values: Floats) -> tuple[float, float]:
    """The middle 95 % of the values that are not NaN; NaN where all are."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def bootstrap(metric: Metric, truth: Floats, predicted: Floats, n_resamples: int = 1000, seed: int = 0) -> Estimate:
    """`metric` with its percentile bootstrap interval over rows (Efron 1979); NaN where it is not defined."""
    generator = np.random.default_rng(seed)
    rows = (generator.integers(0, len(truth), len(truth)) for _ in range(n_resamples))
    values = np.array([metric(truth[row], predicted[row]) for row in rows])
    return Estimate(metric(truth, predicted), *_interval(values))


MIN_USER_ROWS = 5


@dataclass(frozen=True)
class UserEstimate:
    """The mean over users of a metric within each. n_users: those with enough rows and where it is defined."""

    estimate: Estimate
    n_users: int


def within_users(
    metric: Metric, truth: Floats, predicted: Floats, users: Floats, n_resamples: int = 1000, seed: int = 0
) -> UserEstimate:
    """`metric` within each user of at least `MIN_USER_ROWS` rows; the mean counts each user once.

    The interval is a bootstrap over users, since rows of one user are not independent.
    """
    order = np.argsort(users, kind="stable")
    _, starts = np.unique(users[order], return_index=True)
    groups = (rows for rows in np.split(order, starts[1:]) if len(rows) >= MIN_USER_ROWS)
    values = np.array([metric(truth[rows], predicted[rows]) for rows in groups])
    known = values[~np.isnan(values)] if len(values) else values
    if not len(known):
        return UserEstimate(Estimate(float("nan"), float("nan"), float("nan")), 0)
    generator = np.random.default_rng(seed)
    means = np.array([known[generator.integers(0, len(known), len(known))].mean() for _ in range(n_resamples)])
    return UserEstimate(Estimate(float(known.mean()), *_interval(means)), len(known))
