"""The images of pairs as they come through the feed: decoded ahead on threads, a bounded number of them held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from popspark.features.extractor import map_ahead
from popspark.images.decode import decode
from popspark.networks.backbones import Backbone, crop_at
from popspark.training.feed import read_row_groups
from popspark.training.ranker.pairs import pair_targets
from popspark.training.ranker.settings import Targets

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def read_crops(
    files: Sequence[Path], backbone: Backbone, batch_size: int, epoch: int, targets: Targets, n_threads: int
) -> Iterator[tuple[list[Image], Floats]]:
    """One pass over the pairs of a split: B left crops, then their B right ones, and the targets (B,).

    Every crop is drawn anew; order and crops follow from `epoch` alone.
    """
    generator = np.random.default_rng(epoch)

    def rows() -> Iterator[tuple[bytes, bytes, npt.NDArray[np.float64], np.float32]]:
        for group in read_row_groups(files, ("thumbnail_l", "thumbnail_r", "margin", "probability"), epoch):
            wanted = pair_targets(group["margin"], group["probability"], targets)
            corners = generator.random((len(wanted), 2, 2))
            yield from zip(group["thumbnail_l"], group["thumbnail_r"], corners, wanted, strict=True)

    def cut(row: tuple[bytes, bytes, npt.NDArray[np.float64], np.float32]) -> tuple[Image, Image, np.float32]:
        left, right, (at_left, at_right), target = row
        return crop_at(decode(left), backbone, at_left), crop_at(decode(right), backbone, at_right), target

    pairs = map_ahead(rows(), cut, n_threads, depth=2 * batch_size)
    while batch := list(islice(pairs, batch_size)):
        left, right, wanted = zip(*batch, strict=True)
        yield [*left, *right], np.array(wanted, np.float32)


def measure_images(
    files: Sequence[Path],
    images: npt.NDArray[np.str_],
    prepare: Callable[[Image], Image],
    forward: Callable[[Sequence[Image]], Floats],
    values: Floats,
    batch_size: int,
    n_threads: int,
) -> None:
    """Fills the rows of `values` (number of images, dim) that are NaN yet and stand in a pair; each once.

    images: their sha256, sorted. prepare: on a thread. forward: B prepared ones to (B, dim).
    """
    waiting = np.isnan(values[:, 0])

    def wanted() -> Iterator[tuple[int, bytes]]:
        columns = ("sha256_l", "sha256_r", "thumbnail_l", "thumbnail_r")
        for group in read_row_groups(files, columns, epoch=0):
            for side in "lr":
                rows = np.searchsorted(images, group[f"sha256_{side}"].astype(str))
                for row, thumbnail in zip(rows, group[f"thumbnail_{side}"], strict=True):
                    if waiting[row]:
                        waiting[row] = False
                        yield int(row), thumbnail

    def ready(found: tuple[int, bytes]) -> tuple[int, Image]:
        return found[0], prepare(decode(found[1]))

    prepared = map_ahead(wanted(), ready, n_threads, depth=2 * batch_size)
    while batch := list(islice(prepared, batch_size)):
        rows, crops = zip(*batch, strict=True)
        values[list(rows)] = forward(crops)
