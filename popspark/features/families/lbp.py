"""Texture: histogram of uniform local binary patterns, 59 values (VSCNN, section III-A, "Texture").

Ojala, Pietikainen and Maenpaa, PAMI 2002 (operator); Ahonen, Hadid and Pietikainen, ECCV 2004 (59 labels).

Symbols: g the grey image, uint8 (H, W). Neighbour i of 8 stands at angle i * 45 degrees, counter-clockwise from the
right, at radius 1; t_i is its value. Bit i of a pixel's code is 1 where t_i >= g. A code is uniform where at most two
of the seven steps from bit i to bit i + 1 change; there are 58 uniform codes, labels 0..57, and one label, 58, for
all others. The vector holds the share of pixels with each label; the 59 shares sum to 1.

The labels are those of scikit-image's `local_binary_pattern(g, 8, 1, method="nri_uniform")`, pixel by pixel:
- a diagonal neighbour lies between pixels (offset 0.70711) and is interpolated bilinearly in float64, in the order of
  operations of scikit-image, because on flat ground the sign of t_i - g is the sign of its rounding error;
- what lies outside the image is 0.

Choices the paper leaves open: grey is OpenCV's `COLOR_RGB2GRAY` (Rec. 601, uint8). The operator sees single pixels, so
its values depend on the image's size: an image whose long side exceeds `LONG_SIDE_PX` is first reduced to it
(`INTER_AREA`, each side at least 1); a smaller one stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from popspark.features.family import Calculate, Family, Image

Float = npt.NDArray[np.float64]

LONG_SIDE_PX = 512
N_LABELS = 59
STRIP_ROWS = 32  # codes are computed strip by strip, whose float64 copies stay in the processor's cache
OFFSET = 0.70711  # cos 45 degrees as scikit-image rounds it


def _label(code: int) -> int:
    """The label of an 8-bit code: uniform ones by their number of ones, then by rotation."""
    bits = [code >> i & 1 for i in range(8)]
    if sum(bits[i] != bits[i + 1] for i in range(7)) > 2:
        return 58
    n_ones = sum(bits)
    if n_ones in (0, 8):
        return 0 if n_ones == 0 else 57
    first_one, first_zero = bits.index(1), bits.index(0)
    rotation = n_ones - first_zero if first_one == 0 else 8 - first_one
    return 1 + (n_ones - 1) * 8 + rotation


LABELS = np.array([_label(code) for code in range(256)])  # (256,)


def _between(low: Float, high: Float, share: Float) -> Float:
    return (1 - share) * low + share * high


def codes(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The 8-bit code of each pixel; `grey` and the result are (H, W)."""
    ground = np.pad(grey, 1)  # (H + 2, W + 2)
    strips = range(0, len(grey), STRIP_ROWS)
    return np.concatenate([_strip_codes(ground[row : row + STRIP_ROWS + 2], row) for row in strips])


def _strip_codes(padded: npt.NDArray[np.uint8], first_row: int) -> npt.NDArray[np.uint8]:
    """Codes (h, w) of all but the outermost pixels of `padded` (h + 2, w + 2). first_row: where in the image."""
    ground = padded.astype(np.float64)
    height, width = ground.shape[0] - 2, ground.shape[1] - 2
    # Where the interpolated point lies between two rows or columns. Not 0.70711 itself: adding it to a number rounds.
    y, x = np.arange(first_row, first_row + height, dtype=np.float64), np.arange(width, dtype=np.float64)
    up, left = ((at - OFFSET) - (at - 1) for at in (y, x))
    down, right = ((at + OFFSET) - at for at in (y, x))
    # Every row interpolated between each pixel and the one on its right, or on its left: (h + 2, w).
    to_right = _between(ground[:, 1:-1], ground[:, 2:], right)
    to_left = _between(ground[:, :-2], ground[:, 1:-1], left)
    above, beside, below = slice(0, -2), slice(1, -1), slice(2, None)
    neighbours = (
        ground[1:-1, 2:],
        _between(to_right[above], to_right[beside], up[:, None]),
        ground[:-2, 1:-1],
        _between(to_left[above], to_left[beside], up[:, None]),
        ground[1:-1, :-2],
        _between(to_left[beside], to_left[below], down[:, None]),
        ground[2:, 1:-1],
        _between(to_right[beside], to_right[below], down[:, None]),
    )
    code = np.zeros((height, width), dtype=np.uint8)
    for i, neighbour in enumerate(neighbours):
        code |= (neighbour >= ground[1:-1, 1:-1]).view(np.uint8) << np.uint8(i)
    return code


def working_grey(image: Image) -> npt.NDArray[np.uint8]:
    """The grey image that the patterns are read from, at most `LONG_SIDE_PX` on its long side."""
    height, width = image.shape[:2]
    scale = LONG_SIDE_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _histogram(image: Image) -> npt.NDArray[np.float32]:
    grey = working_grey(image)
    counts = cv2.calcHist([codes(grey)], [0], None, [256], [0, 256]).ravel()
    return (np.bincount(LABELS, weights=counts, minlength=N_LABELS) / grey.size).astype(np.float32)


def load() -> Calculate:
    def calculate(images: Sequence[Image]) -> npt.NDArray[np.float32]:
        return np.stack([_histogram(image) for image in images])

    return calculate


FAMILY = Family(
    name="lbp", version="1", dim=N_LABELS, load=load, labels=tuple(f"pattern_{i:02d}" for i in range(N_LABELS))
)
