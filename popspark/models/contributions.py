"""What drives a score: each family's and each social group's share of it, as exact Shapley values.

A score is compared with that of the mean of the training split, and the difference is shared out among the families
and groups, the players: a player's contribution is what the score gains when its own values replace the training mean,
averaged over all orders in which the players can do so (Shapley 1953; Lundberg and Lee, NeurIPS 2017, eq. 8, with the
mean as the reference). So the contributions of a row add up to its score less the baseline, whatever the network; for a
linear bundle each is simply the player's own term. With p players it takes 2^p scores a row: 8 players, 256 scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from popspark.models.predictor import Predictor

Floats = npt.NDArray[Any]


def contributions(
    predictor: Predictor, values: Mapping[str, Floats], social: Floats, groups: Mapping[str, slice]
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """The contribution (N,) of each family and group, and the baseline (N,): the score with all of them at the mean.

    values: (N, dim) by family, all families of the bundle. social: (N, 34). groups: columns of `social` that are
    players of their own; the other columns keep their values, in the baseline too.
    """
    projected = {name: predictor.project(name, rows) for name, rows in values.items()}
    players = (*projected, *groups)
    means = predictor.social_means if groups else np.zeros(0)

    def score(present: frozenset[str]) -> npt.NDArray[np.float64]:
        """A family at its training mean projects to 0, for the reduction subtracts it."""
        visual = sum((projected[name] for name in projected if name in present), 0 * next(iter(projected.values())))
        replaced = np.array(social, np.float64)
        for name, columns in groups.items():
            if name not in present:
                replaced[:, columns] = means[columns]
        return predictor.score(visual, replaced)

    subsets = [frozenset(subset) for n in range(len(players) + 1) for subset in combinations(players, n)]
    scores = {subset: score(subset) for subset in subsets}
    shares = {player: np.zeros(len(social)) for player in players}
    for subset in subsets:
        for player in set(players) - subset:
            weight = 1 / (len(players) * comb(len(players) - 1, len(subset)))
            shares[player] += weight * (scores[subset | {player}] - scores[subset])
    return shares, scores[frozenset()]
