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


def bootstrap(metric: Metric, truth: Floats, predicted: Floats, n_resamples: int = 1000, seed: int = 0) -> Estimate:
    """`metric` with its percentile bootstrap interval over rows (Efron 1979), of the resamples where it is defined."""
    generator = np.random.default_rng(seed)
    rows = (generator.integers(0, len(truth), len(truth)) for _ in range(n_resamples))
    values = [metric(truth[row], predicted[row]) for row in rows]
    defined = [value for value in values if not np.isnan(value)]
    low, high = np.percentile(defined, [2.5, 97.5]) if defined else (np.nan, np.nan)
    return Estimate(metric(truth, predicted), float(low), float(high))
