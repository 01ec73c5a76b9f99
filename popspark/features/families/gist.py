"""GIST: 512 values (VSCNN, section III-A, "Gist"): how strong edges of each scale and direction are in each part.

Oliva and Torralba, IJCV 2001; every constant is that of its code, LMgist.m of LabelMeToolbox, with
`imageSize = [256 256]`, `orientationsPerScale = [8 8 8 8]`, `numberBlocks = 4`, `fc_prefilt = 4`.

1. Grey x = (R + G + B) / 3, float64 (H, W).
2. Size: scale by max(256 / H, 256 / W), crop the centre to (256, 256). Resizing is MATLAB's `imresize(x, "bilinear")`:
   a triangle, widened by 1 / scale where it shrinks, over the mirrored image.
3. x = 255 (x - min x) / (max x - min x).
4. Prefilter: x = log(1 + x), padded by 5 on each side, mirrored: (266, 266). L is the low-pass with transfer function
   exp(-(fx^2 + fy^2) / s^2), s = 4 / sqrt(ln 2), f in cycles per image. y = x - L x;
   x = y / (0.2 + sqrt |L y^2|), cropped to (256, 256).
5. Filters, on n = 320: with r = |f| and t = the angle of f plus pi (j - 1) / 8, wrapped to [-pi, pi],
   G_ij(f) = exp(-3.5 (r / (n p_i) - 1)^2 - 2 pi t^2), p_i = 0.3 / 1.85^(i - 1); i = 1..4 from fine to coarse, j = 1..8.
6. |ifft2(fft2(x padded by 32, mirrored) G_ij)|, cropped to (256, 256); the mean over each of 4 x 4 blocks of 64 x 64.
   Value 16 (8 (i - 1) + j - 1) + 4 column + row: blocks run down the columns, as MATLAB stores them.

What the original leaves open: a flat image divides 0 by 0 in step 3. Here one whose range is below `FLAT` gives 512
zeros, the limit of the steps that follow for an image without contrast.

Precision: steps 1 to 4 in float64, the filters in float32 by OpenCV's DFT; the values differ from those of float64
throughout by less than 1e-6 (tests/unit/features/test_gist.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import scipy.sparse

from popspark.features.family import Calculate, Family, Image

SIDE_PX = 256
N_SCALES, N_DIRECTIONS, N_BLOCKS = 4, 8, 4
PREFILTER_PAD_PX, FILTER_PAD_PX = 5, 32
PREFILTER_CYCLES = 4
NOTHING = 1e-12  # smaller values of a filter move no result, and subnormal products are slow
FLAT = 1e-6  # grey levels of 0..255; rounding in the resize is 1e-13

Float = npt.NDArray[np.float64]


@lru_cache(maxsize=256)
def _resize_rows(n_in: int, n_out: int) -> tuple[int, int, scipy.sparse.csr_matrix]:
    """MATLAB's `contributions` for the `SIDE_PX` rows in the middle of the `n_out` that `n_in` rows are resized to.

    Returns the first input row that counts, the row after the last, and the weights (SIDE_PX, last - first).
    """
    scale = n_out / n_in
    width = 2 / min(scale, 1.0)  # of the triangle, in input rows
    out = np.arange(SIDE_PX) + (n_out - SIDE_PX) // 2  # (256,)
    centre = (out + 0.5) / scale - 0.5
    rows = np.floor(centre - width / 2)[:, None] + np.arange(int(np.ceil(width)) + 2)  # (256, taps)
    weights = np.maximum(0.0, 1 - np.abs(centre[:, None] - rows) * min(scale, 1.0))
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = rows.astype(np.int64) % (2 * n_in)
    mirrored = np.where(mirrored < n_in, mirrored, 2 * n_in - 1 - mirrored)
    used = mirrored[weights > 0]
    first, last = int(used.min()), int(used.max()) + 1
    weight = weights > 0
    at = (np.repeat(np.arange(SIDE_PX), weight.sum(axis=1)), used - first)
    return first, last, scipy.sparse.csr_matrix((weights[weight], at), shape=(SIDE_PX, last - first))


def square_grey(image: Image) -> Float:
    """Steps 1 and 2: the grey image, resized and cropped to (256, 256), in 0..255."""
    height, width = image.shape[:2]
    scale = max(SIDE_PX / height, SIDE_PX / width)
    top, bottom, down = _resize_rows(height, int(height * scale + 0.5))
    left, right, across = _resize_rows(width, int(width * scale + 0.5))
    red, green, blue = cv2.split(image[top:bottom, left:right])
    total = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_16U).astype(np.float64)
    return (across @ (down @ total).T).T / 3


def _low_pass_basis(n: int) -> npt.NDArray[np.float64]:
    """Q (n, 61) with L x = Q Q' x Q Q': the low-pass is separable, and below 1e-16 beyond 30 cycles per image."""
    cycles = np.arange(31)
    share = np.exp(-(cycles**2) / (PREFILTER_CYCLES**2 / np.log(2))) / n
    angle = 2 * np.pi * np.outer(np.arange(n), cycles) / n
    waves = [np.cos(angle) * np.sqrt(share * np.where(cycles == 0, 1, 2)), (np.sin(angle) * np.sqrt(2 * share))[:, 1:]]
    return np.hstack(waves)


def prefilter(square: Float, basis: Float) -> Float:
    """Steps 3 and 4, on (256, 256): contrast made even over the image; zeros for a flat one."""
    low, high = square.min(), square.max()
    if high - low < FLAT:
        return np.zeros_like(square)
    x = np.pad(np.log1p((square - low) * (255 / (high - low))), PREFILTER_PAD_PX, mode="symmetric")
    y = x - basis @ (basis.T @ x @ basis) @ basis.T
    deviation = np.sqrt(np.abs(basis @ (basis.T @ (y * y) @ basis) @ basis.T))
    inside = slice(PREFILTER_PAD_PX, -PREFILTER_PAD_PX)
    return (y / (0.2 + deviation))[inside, inside]


class _Filter(NamedTuple):
    """G of step 5 where it is not 0: a box of the spectrum whose middle is frequency 0."""

    rows: slice
    columns: slice
    transfer: npt.NDArray[np.float32]  # (rows, columns, 2), each value twice for its product with a complex one


def _filters(n: int) -> list[_Filter]:
    cycles = np.arange(-n // 2, n // 2)
    fy, fx = np.meshgrid(cycles, cycles, indexing="ij")
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    filters = []
    for i in range(N_SCALES):
        along = -3.5 * (radius / (n * 0.3 / 1.85**i) - 1) ** 2
        for j in range(N_DIRECTIONS):
            t = angle + np.pi * j / N_DIRECTIONS
            t = np.where(t > np.pi, t - 2 * np.pi, t)
            transfer = np.exp(along - 2 * np.pi * t**2)
            transfer[transfer < NOTHING] = 0
            rows, columns = (slice(*_extent(transfer.any(axis=axis))) for axis in (1, 0))
            box = transfer[rows, columns].astype(np.float32)
            filters.append(_Filter(rows, columns, np.repeat(box[..., None], 2, axis=2)))
    return filters


def _extent(held: npt.NDArray[np.bool_]) -> tuple[int, int]:
    at = np.flatnonzero(held)
    return int(at[0]), int(at[-1]) + 1


def load() -> Calculate:
    basis = _low_pass_basis(SIDE_PX + 2 * PREFILTER_PAD_PX)
    filters = _filters(SIDE_PX + 2 * FILTER_PAD_PX)
    inside = slice(FILTER_PAD_PX, -FILTER_PAD_PX)

    def gist(image: Image) -> npt.NDArray[np.float32]:
        even = np.pad(prefilter(square_grey(image), basis), FILTER_PAD_PX, mode="symmetric")
        spectrum = cv2.dft(even.astype(np.float32), flags=cv2.DFT_COMPLEX_OUTPUT)  # (320, 320, 2)
        # Frequency 0 goes to the middle and stays there: in the response that is a factor of 1 or -1 per pixel.
        spectrum = np.fft.fftshift(spectrum, axes=(0, 1))
        product = np.empty_like(spectrum)
        response = np.empty((SIDE_PX, SIDE_PX), dtype=np.float32)
        values = np.empty((len(filters), N_BLOCKS, N_BLOCKS), dtype=np.float32)  # (filter, column, row)
        for i, (rows, columns, transfer) in enumerate(filters):
            product.fill(0)
            np.multiply(spectrum[rows, columns], transfer, out=product[rows, columns])
            # In place: pages for a new result cost more than the transform.
            cv2.dft(product, dst=product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
            np.abs(product.view(np.complex64)[inside, inside, 0], out=response)
            values[i] = cv2.resize(response, (N_BLOCKS, N_BLOCKS), interpolation=cv2.INTER_AREA).T
        return values.ravel()

    def calculate(images: Sequence[Image]) -> npt.NDArray[np.float32]:
        return np.stack([gist(image) for image in images])

    return calculate


FAMILY = Family(name="gist", version="1", dim=N_SCALES * N_DIRECTIONS * N_BLOCKS**2, load=load)
