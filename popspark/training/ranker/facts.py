"""The numbers of a ranker's report, measured in `popspark.training.ranker.evaluation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from popspark.evaluation.metrics import Bin, Estimate


@dataclass(frozen=True)
class GroupAccuracy:
    """Some of a split's pairs and the share that is ranked right, with Wilson's interval."""

    label: str
    n_pairs: int
    accuracy: Estimate


@dataclass(frozen=True)
class RankerFacts:
    """All but `splits` is of the test split.

    over_users: the accuracy with a bootstrap interval over users. mean_of_users: each user counts once.
    auc: of the probability that the left one wins. calibration_error: expected, of the favoured side's probability.
    baselines: the better of two directions, chosen on the training split.
    """

    splits: Mapping[str, GroupAccuracy]
    n_users: Mapping[str, int]
    n_photographs: Mapping[str, int]
    over_users: Estimate
    mean_of_users: Estimate
    auc: Estimate
    bins: Sequence[Bin]
    calibration_error: float
    baselines: Sequence[GroupAccuracy]
    by_margin: Sequence[GroupAccuracy]
    by_rule: Sequence[GroupAccuracy]
    by_user: Sequence[GroupAccuracy]
    curves: Sequence[Mapping[str, Any]]
