"""Pair examples over real photographs with a planted preference, as Spark would write them.

Each split has photographs and users of its own, so what a ranker is tested on it never saw: neither the user nor the
photograph. The two pictures of a pair show different photographs; which of them is preferred follows from what was done
to the pixels, not from what they show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from popspark.images.decode import decode, shrink

PHOTOS = sorted((Path(__file__).resolve().parents[1] / "sample" / "photos").glob("*.jpg"))
MIN_BRIGHTNESS = 0.3  # of a photograph that can be called well exposed before anything is done to it
SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}
PAIRS_PER_USER = 12
Image = npt.NDArray[np.uint8]


def blurred(image: Image, sigma: float) -> Image:
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0 else image


def darkened(image: Image, stops: float) -> Image:
    """Less light by so many stops, in linear light (gamma 2.2)."""
    return np.rint(255 * ((image / 255.0) ** 2.2 * 2.0**-stops) ** (1 / 2.2)).astype(np.uint8)


def spoil(image: Image, blur: float, dark: float) -> Image:
    """blur, dark: 0 (not at all) to 1."""
    return darkened(blurred(image, 4 * blur), 4 * dark)


def _read(path: Path) -> Image:
    return decode(path.read_bytes())


Preference = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""What was done to pictures, (N, 2) as `blur` and `dark`, to the log of their popularity (N,)."""

PREFERENCES: dict[str, tuple[tuple[bool, bool], Preference]] = {
    "sharp beats blurred": ((True, False), lambda done: -done[:, 0]),
    "well-exposed beats dark": ((False, True), lambda done: -done[:, 1]),
    "a mixture": ((True, True), lambda done: -(0.6 * done[:, 0] + 0.4 * done[:, 1])),
}


def write_pairs(folder: Path, preference: str, n_levels: int, n_pairs: int, shuffled: bool = False) -> Path:
    """pair_examples of at most `n_pairs`, most of them for training. n_levels: of each spoiling, from none to full.

    shuffled: the side that is preferred is drawn by a coin.
    """
    varies, popularity = PREFERENCES[preference]
    levels = [np.linspace(0, 1, n_levels) if varied else [0.0] for varied in varies]
    ways = np.array(list(product(*levels)))  # (number of ways, 2)
    generator = np.random.default_rng(7)
    photographs = [image for image in map(_read, PHOTOS) if image.mean() / 255 >= MIN_BRIGHTNESS]
    order = generator.permutation(len(photographs))
    ends = np.round(np.cumsum([0.0, *SHARES.values()]) * len(photographs)).astype(int)
    for split, start, stop in zip(SHARES, ends[:-1], ends[1:], strict=True):
        pictures = [[shrink(spoil(photographs[i], *way)) for way in ways] for i in order[start:stop]]
        n = int(SHARES[split] * n_pairs)
        chosen = np.stack([generator.choice(len(pictures), 2, replace=False) for _ in range(n)])  # (n, 2) photographs
        done = np.stack([generator.choice(len(ways), 2, replace=False) for _ in range(n)])  # (n, 2) ways
        values = popularity(ways[done].reshape(-1, 2)).reshape(-1, 2)
        margins = values[:, 0] - values[:, 1]
        clear = np.abs(margins) > 0.35  # what a person sees at a glance
        if shuffled:
            margins = margins * generator.choice([-1.0, 1.0], n)
        sides = {}
        for side, name in enumerate("lr"):
            thumbnails = [pictures[p][w] for p, w in zip(chosen[clear, side], done[clear, side], strict=True)]
            sides[f"thumbnail_{name}"] = thumbnails
            sides[f"sha256_{name}"] = [hashlib.sha256(content).hexdigest() for content in thumbnails]
            sides[f"n_bytes_{name}"] = [len(content) for content in thumbnails]
            sides[f"brightness_{name}"] = [float(decode(content).mean() / 255) for content in thumbnails]
            sides[f"user_popularity_{name}"] = [1.0] * len(thumbnails)
        n = int(clear.sum())
        columns = {
            "post_id_l": [f"{split}{i}l" for i in range(n)],
            "post_id_r": [f"{split}{i}r" for i in range(n)],
            "user_id": [f"{split}{i // PAIRS_PER_USER}" for i in range(n)],
            "margin": margins[clear],
            "probability": 1 / (1 + np.exp(-margins[clear] / 0.3)),
            "rule": ["twitter"] * n,
            **sides,
        }
        (folder / f"split={split}").mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / f"split={split}" / "part-0.parquet", row_group_size=50)
    return folder
