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
    metric: Metric, truth: Floats, predicted: Floats, users: Floats, n_resamples: int = 1000
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
    generator = np.random.default_rng(0)
    means = np.array([known[generator.integers(0, len(known), len(known))].mean() for _ in range(n_resamples)])
    return UserEstimate(Estimate(float(known.mean()), *_interval(means)), len(known))


def pair_hits(margins: Floats, logits: Floats) -> npt.NDArray[np.float64]:
    """(N,): 1 where both say the same side, 0 where they differ, 0.5 where the logit favours none.

    margins: true differences, none of them 0. logits: predicted ones.
    """
    return np.where(logits == 0, 0.5, np.sign(logits) == np.sign(margins)).astype(np.float64)


def wilson(n_hits: float, n: int) -> Estimate:
    """A share with its score interval at 95 % (Wilson 1927), for independent trials; NaN of none."""
    if not n:
        return Estimate(float("nan"), float("nan"), float("nan"))
    share, z = n_hits / n, 1.959964  # the normal's 97.5 %
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Estimate(share, center - half, center + half)


def share_by_users(hits: Floats, users: Floats, n_resamples: int = 1000) -> Estimate:
    """The mean of `hits` with a bootstrap interval over users, since pairs of one user are not independent."""
    _, rows = np.unique(users, return_inverse=True)
    sums, counts = np.bincount(rows, weights=hits), np.bincount(rows)
    drawn = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), n_resamples)
    return Estimate(float(hits.mean()), *_interval((drawn @ sums) / (drawn @ counts)))


def auc(is_positive: Floats, scores: Floats) -> float:
    """The probability that a positive scores above a negative, ties for half (Mann-Whitney); NaN without both."""
    positive = np.asarray(is_positive, bool)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * m))


N_BINS = 10


@dataclass(frozen=True)
class Bin:
    """Predictions of about one confidence: their mean, the share that came true, and how many there are."""

    confidence: float
    hits: Estimate


def calibration(confidences: Floats, hits: Floats) -> tuple[list[Bin], float]:
    """Bins of equal width from 0.5 to 1, and the expected calibration error (Guo et al. 2017).

    confidences: of the side that is favoured, each in [0.5, 1].
    """
    numbers = np.minimum(((np.asarray(confidences) - 0.5) * 2 * N_BINS).astype(int), N_BINS - 1)
    bins, error = [], 0.0
    for number in np.unique(numbers):
        rows = numbers == number
        found = Bin(float(confidences[rows].mean()), wilson(float(hits[rows].sum()), int(rows.sum())))
        bins.append(found)
        error += rows.mean() * abs(found.confidence - found.hits.value)
    return bins, float(error)
