"""Normal scores to popularity, log2(views / days) + 1, as distributed on Flickr; as tables for Spark to look up."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F
from scipy.stats import norm

# Quantiles of 305,613 public Flickr popularity scores, log2(views per day) + 1 style (the SMP challenge's labels).
# The outermost levels stand for the smallest and the largest score.
LEVELS = (1 / 305613, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1 - 1 / 305613)
QUANTILES = (1.0, 1.0, 2.58, 3.32, 4.32, 5.04, 5.61, 6.23, 6.87, 7.58, 8.43, 9.72, 10.73, 12.79, 16.56)

GRID_END, GRID_STEP = 4.5, 0.05
GRID = np.linspace(-GRID_END, GRID_END, round(2 * GRID_END / GRID_STEP) + 1)


def popularity_of(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The popularity at each standard normal score: linear between the quantiles, constant beyond the last."""
    return np.interp(scores, norm.ppf(LEVELS), QUANTILES)


def expected_popularity_of(signals: npt.NDArray[np.float64], noise: float) -> npt.NDArray[np.float64]:
    """The mean popularity at each score `signal + noise * e` over a standard normal e: what a perfect model says."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    scores = signals[..., None] + noise * nodes  # (..., 1) + (61) -> (..., 61)
    return popularity_of(scores) @ weights / math.sqrt(2 * math.pi)


def look_up(values: npt.NDArray[np.float64], scores: Column) -> Column:
    """The function whose values on GRID are given, at each score: linear in between, constant beyond the ends."""
    table = F.array(*map(F.lit, values.tolist()))
    position = F.greatest(F.lit(0.0), F.least(F.lit(len(GRID) - 1.0), (scores + GRID_END) / GRID_STEP))
    below = F.least(F.floor(position), F.lit(len(GRID) - 2)).cast("int")
    left, right = F.get(table, below), F.get(table, below + 1)
    return left + (position - below) * (right - left)
