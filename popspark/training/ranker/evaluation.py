"""The share of pairs that a ranker orders right without having seen them, beside what a person would try first."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from popspark.evaluation.metrics import auc, bootstrap, calibration, pair_hits, share_by_users, wilson
from popspark.runtime.errors import AccountingError, LeakError
from popspark.training.ranker.facts import GroupAccuracy, RankerFacts
from popspark.training.ranker.pairs import PairTable, SplitPairs
from popspark.training.ranker.train import FittedRanker

Values = npt.NDArray[Any]
MARGIN_EDGES = (0.0, 0.25, 0.5, 1.0, 2.0, np.inf)
"""Where groups of pairs by margin begin and end: the absolute difference of the logarithms of popularity; 0.69 is twice
as popular where the base is e."""
N_USERS = 20
"""Users with a line of their own: those with the most pairs."""
BASELINES = {
    "brightness": "the brightness alone",
    "n_bytes": "the file's size alone",
    "user_popularity": "the user's mean popularity alone",
}


def _line(label: str, hits: Values) -> GroupAccuracy:
    return GroupAccuracy(label, len(hits), wilson(float(hits.sum()), len(hits)))


def _hits(pairs: SplitPairs, logits: Values) -> Values:
    return pair_hits(pairs.columns["margin"], logits)


def _decided(pairs: SplitPairs) -> SplitPairs:
    """The pairs without those of equal popularity, which have no right order."""
    rows = pairs.columns["margin"] != 0
    return SplitPairs({k: v[rows] for k, v in pairs.columns.items()}, pairs.left[rows], pairs.right[rows])


def _baseline(name: str, train: SplitPairs, test: SplitPairs) -> GroupAccuracy:
    """One value an image, more of it being better or worse, whichever was right more often in training."""

    def differences(pairs: SplitPairs) -> Values:
        return pairs.columns[f"{name}_l"] - pairs.columns[f"{name}_r"]

    sign = 1 if _hits(train, differences(train)).mean() >= 0.5 else -1
    direction = "" if name == "user_popularity" else ", more is better" if sign > 0 else ", less is better"
    return _line(BASELINES[name] + direction, _hits(test, sign * differences(test)))


def _check_images(pairs: PairTable) -> None:
    """Raises `LeakError` where an image or a user stands in two splits."""
    for (one, pairs_of_one), (other, pairs_of_other) in combinations(pairs.splits.items(), 2):
        images = np.intersect1d(pairs_of_one.images, pairs_of_other.images)
        users = np.intersect1d(pairs_of_one.columns["user_id"], pairs_of_other.columns["user_id"])
        if len(images) or len(users):
            raise LeakError(
                "Splits of the pairs share photographs or users.",
                where=f"{one} and {other}",
                got=f"{len(images)} photographs, {len(users)} users",
                fix="build the table again with popspark build-pair-examples",
            )


def evaluate(fitted: FittedRanker, n_resamples: int = 1000) -> RankerFacts:
    """Raises `LeakError` for splits that overlap, and `AccountingError` where a pair is not of one user."""
    _check_images(fitted.pairs)
    splits = {name: _decided(pairs) for name, pairs in fitted.pairs.splits.items()}
    test = splits["test"]
    logits = test.logits(fitted.scores).astype(np.float64)
    hits, users = _hits(test, logits), test.columns["user_id"]
    probabilities = expit(logits)
    bins, error = calibration(np.maximum(probabilities, 1 - probabilities), hits)
    baselines = [_baseline(name, splits["train"], test) for name in BASELINES]
    if len(test) and baselines[-1].accuracy.value != 0.5:
        raise AccountingError(
            "The user's popularity tells the two posts of a pair apart, so they are not of one user.",
            got=f"{baselines[-1].accuracy.value:.3f} of the test pairs ranked right by it",
            legal="0.5, a tie in every pair",
        )
    margins = np.abs(test.columns["margin"])
    by_margin = [
        _line(
            f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}", hits[(margins > low) & (margins <= high)]
        )
        for low, high in pairwise(MARGIN_EDGES)
    ]
    names, counts = np.unique(users, return_counts=True)
    means = np.array([hits[users == name].mean() for name in names])
    heaviest = names[np.argsort(-counts, kind="stable")][:N_USERS]
    return RankerFacts(
        splits={name: _line(name, _hits(pairs, pairs.logits(fitted.scores))) for name, pairs in splits.items()},
        n_users={name: len(np.unique(pairs.columns["user_id"])) for name, pairs in splits.items()},
        n_photographs={name: len(pairs.images) for name, pairs in splits.items()},
        over_users=share_by_users(hits, users, n_resamples),
        mean_of_users=share_by_users(means, names, n_resamples),
        auc=bootstrap(auc, test.columns["margin"] > 0, probabilities, n_resamples),
        bins=bins,
        calibration_error=error,
        baselines=baselines,
        by_margin=[line for line in by_margin if line.n_pairs],
        by_rule=[_line(str(rule), hits[test.columns["rule"] == rule]) for rule in np.unique(test.columns["rule"])],
        by_user=[_line(str(name), hits[users == name]) for name in heaviest],
        curves=[asdict(line) for line in fitted.curves],
    )
