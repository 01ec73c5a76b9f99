"""The small columns of pair_examples, in memory: some 300 bytes a pair. The images come through the feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds

from popspark.storage.examples import SPLITS
from popspark.training.examples import ExampleFiles
from popspark.training.ranker.settings import Targets

COLUMNS = ("post_id_l", "post_id_r", "user_id", "margin", "probability", "rule", "sha256_l", "sha256_r")
SIDED = ("n_bytes", "brightness", "user_popularity")
"""Columns with an _l and an _r, for the baselines."""

Values = npt.NDArray[Any]


def pair_targets(margins: Values, probabilities: Values, targets: Targets) -> npt.NDArray[np.float32]:
    """(N,): that l beats r. `hard`: 1, 0, or 0.5 for equal popularity; `probability`: as the pair rules have it."""
    return ((np.sign(margins) + 1) / 2 if targets == "hard" else probabilities).astype(np.float32)


@dataclass(frozen=True)
class SplitPairs:
    """The pairs of one split.

    columns: by name, (N,). left, right: (N,), indices of their images in `PairTable.images`.
    """

    columns: dict[str, Values]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.left)

    @property
    def images(self) -> npt.NDArray[np.int64]:
        """The indices of all images that stand in a pair, each once."""
        return np.unique(np.concatenate([self.left, self.right]))

    def logits(self, scores: Values) -> Values:
        """(N,): score of l minus score of r. scores: (number of images,)."""
        return scores[self.left] - scores[self.right]

    def targets(self, targets: Targets) -> npt.NDArray[np.float32]:
        return pair_targets(self.columns["margin"], self.columns["probability"], targets)


@dataclass(frozen=True)
class PairTable:
    """The pairs of all splits. images: their sha256, sorted. splits: by name."""

    images: npt.NDArray[np.str_]
    splits: dict[str, SplitPairs]


def load_pairs(examples: ExampleFiles) -> PairTable:
    """All but the images."""
    names = [*COLUMNS, *(f"{name}_{side}" for name in SIDED for side in "lr")]
    columns: dict[str, dict[str, Values]] = {}
    for split in SPLITS:
        table = ds.dataset(examples.by_split[split], format="parquet").to_table(columns=names)
        columns[split] = {
            name: np.array(table[name].to_pylist(), str)
            if str(table.schema.field(name).type) == "string"
            else table[name].to_numpy()
            for name in names
        }
    images = np.unique(np.concatenate([c[side] for c in columns.values() for side in ("sha256_l", "sha256_r")]))
    splits = {
        split: SplitPairs(c, np.searchsorted(images, c["sha256_l"]), np.searchsorted(images, c["sha256_r"]))
        for split, c in columns.items()
    }
    return PairTable(images, splits)
