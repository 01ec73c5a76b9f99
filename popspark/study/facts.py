"""What the study's report is made from: plain numbers, whoever measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from popspark.evaluation.metrics import Estimate
from popspark.storage.examples import FamilyRecord, SplitCounts

Values = npt.NDArray[Any]

MODELS = {
    "vscnn": "VSCNN",
    "vscnn_ef": "VSCNN-EF",
    "scnn": "SCNN",
    "vcnn": "VCNN",
    "gbdt": "GBDT",
    "svr": "SVR",
    "dtr": "DTR",
    "lr": "LR",
    "metadata": "Metadata only",
    "user_mean": "User's mean",
    "mean": "Mean",
}
"""Titles, in the order of the tables."""

METRIC_TITLES = {"spearman_rho": "Spearman's rho", "mae": "MAE", "mse": "MSE"}
MODE_TITLES = {"paper": "as published", "point_in_time": "point in time"}


@dataclass(frozen=True)
class Predictions:
    """Of one model on the test split, in one order."""

    post_ids: Values
    labels: Values
    predicted: Values


@dataclass(frozen=True)
class Result:
    """One fit. features: `visual+social` or a feature set's name. test, valid, within_users: by metric."""

    model: str
    features: str
    used: str
    n_train: int
    n_test: int
    seconds: float
    valid: Mapping[str, Estimate]
    test: Mapping[str, Estimate]
    within_users: Mapping[str, Estimate]
    n_users: int
    curves: Sequence[Mapping[str, float]] = ()
    initialisation: str | None = None
    scale_first: bool | None = None


@dataclass(frozen=True)
class CellFacts:
    """Results on the data of one split strategy and feature mode, or why there are none.

    statuses: posts by what became of them.
    """

    strategy: str
    mode: str
    refused: str | None
    splits: Mapping[str, SplitCounts]
    statuses: Mapping[str, int]
    results: Sequence[Result]

    def best(self, model: str) -> Result | None:
        """Of a model, the fit on all that it can read."""
        whole = ("visual+social", "fused", "visual", "social", "post+time", "")
        found = [result for result in self.results if result.model == model and result.features in whole]
        return min(found, key=lambda result: whole.index(result.features), default=None)


@dataclass(frozen=True)
class StudyFacts:
    """main: the data of tables IV to VII; cells: all data, main first. sets: by feature set its title and its
    (components, values). absent: feature sets of the paper that these data lack, with the reason.
    """

    is_simulated: bool
    families: Sequence[FamilyRecord]
    label_rule: str
    main: CellFacts
    cells: Sequence[CellFacts]
    sets: Mapping[str, tuple[str, int, int]]
    absent: Mapping[str, str]
    correlations: Mapping[str, Estimate]
    shares: Mapping[str, Mapping[str, float]]
    variants: Sequence[Result]
    choice: Mapping[str, Any]
    predictions: Mapping[str, Predictions]
    train_labels: npt.NDArray[np.float32]
