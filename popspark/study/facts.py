"""The numbers that the study's report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from popspark.evaluation.metrics import Estimate
from popspark.runtime.config import Section
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
    """One model's predictions of the test split, in one order."""

    post_ids: Values
    labels: Values
    predicted: Values


class FitResult(Section):
    """One fit and its measures, as a fit's result.json keeps them; each measure by metric, with its 95 % interval."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    model: str
    features: str
    """The name of a feature set, or visual+social."""
    initialisation: str | None
    """Start of a CNN; null for any other model."""
    scale_first: bool
    """Whether each value was standardised before the PCA."""
    used: str
    """Words for the report: what the model is."""
    n_train: int
    n_test: int
    valid: dict[str, Estimate]
    test: dict[str, Estimate]
    within_users: dict[str, Estimate]
    """Each metric within every user with enough test posts; the mean over these users."""
    n_users: int
    """Users with enough test posts for a rank correlation."""
    seconds: float
    """Time of the fit alone."""
    folder: Path
    """Folder whose test.parquet has the predictions."""
    curves: tuple[dict[str, float], ...] = ()
    """Lines of a CNN's curves, one an epoch."""


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
    results: Sequence[FitResult]

    def best(self, model: str) -> FitResult | None:
        """The model's fit on all that it can read."""
        whole = ("visual+social", "fused", "visual", "social", "post+time", "")
        found = [result for result in self.results if result.model == model and result.features in whole]
        return min(found, key=lambda result: whole.index(result.features), default=None)


@dataclass(frozen=True)
class StudyFacts:
    """main: the data of tables IV to VII; cells: all data, main first. sets: by feature set its title and its
    (components, values). absent: feature sets of the paper that these data lack, with the reason.
    variants: the starts and scalings that were compared, chosen the best of them by validation.
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
    variants: Sequence[FitResult]
    chosen: FitResult
    predictions: Mapping[str, Predictions]
    train_labels: npt.NDArray[np.float32]
