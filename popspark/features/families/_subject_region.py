"""The subject of a photograph: the part that is in focus (Luo and Tang, ECCV 2008, 3.1, after Levin, NIPS 2006).

Symbols: g the grey image, uint8 (H, W); g_k the means of g over k x k windows, k = 1..`N_KERNELS`; dx, dy the
differences of horizontal and vertical neighbours; p_k, q_k the shares of dx and dy of g_k in each of 41 bins on
[-1, 1] (grey levels over 255).

1. The log-likelihood of pixel (i, j) under blur k: l_k = sum over its 3 x 3 window of log p_k(dx) + log q_k(dy), with
   dx, dy those of g itself.
2. A pixel is sharp where l_1 > l_k for every k > 1.
3. The region is the box between the columns, and the rows, outside of which 5 % of the sharp pixels lie on either side.

Choices that the paper leaves open:
- bins: 41 on [-1, 1], and an empty bin counts 1e-8 pixels, both as OpenIMAJ's `DepthOfFieldEstimator` has them; a value
  goes to the nearest bin centre, so that d and -d land in opposite bins;
- edges: the image goes on with the value at its edge, and g_k has every window that k // 2 rows and columns of it
  allow: H x W of them for odd k, (H + 1) x (W + 1) for even k;
- a window holds the differences between its own pixels, 3 x 2 and 2 x 3, fewer at the edge of the image.
The last two make the map of a mirrored, turned or transposed image the mirrored, turned or transposed map.
- a tie is not sharp: a flat image, whose blurs are all alike, has no sharp pixel.

Speed: differences of box means are differences of window sums, so each k costs two subtractions of integers; a bin is
filled only up to 255 / k grey levels, so its histogram is a few counts; each likelihood is a table with 41 entries.
Everything is integer from end to end (likelihoods in steps of 2^-20), so no order of summation moves a pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

N_KERNELS = 50
N_BINS = 41
EMPTY_BIN_COUNT = 1e-8
CUT = 0.05  # of the sharp pixels, at either end of each axis
LIKELIHOOD_STEPS = 2**20  # 12 terms of at most 40 stay below 2^31

Grey = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_CENTRE = N_BINS // 2
_BIN_OF_DIFFERENCE = (np.rint(np.arange(-255, 256) * (N_BINS / 510)) + _CENTRE).astype(np.uint8)  # (511,)


class Box(NamedTuple):
    """Rows top..bottom and columns left..right of an image, the last not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def n_pixels(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)


def _histogram(differences: npt.NDArray[np.int16], k: int, beyond: Mask) -> npt.NDArray[np.float64]:
    """Counts (41,) of differences of k x k means, given as k^2 times themselves, so in [-255 k, 255 k].

    beyond: memory to work in, of the shape of `differences`.
    """
    counts = np.zeros(N_BINS)
    for sign, compare in ((1, np.greater), (-1, np.less)):
        for offset in range(1, _farthest_bin(k) + 1):
            edge = sign * int((offset - 0.5) * 510 / N_BINS * k**2)
            n_beyond = np.count_nonzero(compare(differences, edge, out=beyond))
            counts[_CENTRE + sign * offset] = n_beyond
            counts[_CENTRE + sign * (offset - 1)] -= n_beyond if offset > 1 else 0
            if n_beyond == 0:
                break
    counts[_CENTRE] = differences.size - counts.sum()
    return counts


def _farthest_bin(k: int) -> int:
    """From the centre: a difference of k x k means is at most 1 / k."""
    return int(np.rint(N_BINS / 2 / k))


def _log_shares(grey: Grey) -> npt.NDArray[np.float64]:
    """log p_k and log q_k: (2, N_KERNELS, N_BINS), the former of dx, the latter of dy."""
    height, width = grey.shape
    margin = N_KERNELS // 2
    wide = np.pad(grey, margin, mode="edge").astype(np.uint16)
    memory = np.empty((2, wide.size), dtype=np.uint16)  # pages for new arrays would cost more than the arithmetic
    beyond = np.empty(wide.size, dtype=np.bool_)
    counts = np.zeros((2, N_KERNELS, N_BINS))
    for axis, image in enumerate((wide, np.ascontiguousarray(wide.T))):
        n_rows, n_columns = (height, width) if axis == 0 else (width, height)
        # Sums down the columns; they wrap at 2^16, their differences over at most 50 rows do not.
        sums = np.zeros((image.shape[0] + 1, image.shape[1]), dtype=np.uint16)
        np.cumsum(image, axis=0, dtype=np.uint16, out=sums[1:])
        for k in range(1, N_KERNELS + 1):
            start, n_windows, n_wide = margin - k // 2, n_rows + 1 - k % 2, n_columns + 2 * (k // 2)
            size = n_windows * (n_wide - k)
            if _farthest_bin(k) == 0:
                counts[axis, k - 1, _CENTRE] = size
                continue
            stop, columns = start + n_windows, slice(start, start + n_wide)
            window = memory[0, : n_windows * n_wide].reshape(n_windows, n_wide)
            np.subtract(sums[start + k : stop + k, columns], sums[start:stop, columns], out=window)
            differences = memory[1, :size].reshape(n_windows, n_wide - k)
            np.subtract(window[:, k:], window[:, : n_wide - k], out=differences)
            counts[axis, k - 1] = _histogram(differences.view(np.int16).ravel(), k, beyond[:size])
    return np.log(np.where(counts > 0, counts, EMPTY_BIN_COUNT) / np.maximum(counts.sum(axis=2, keepdims=True), 1))


def _binding(gains: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Of the gains over n blurs, (n, 2, 256), those that no other is at or below in every bin: only these decide."""
    held = gains[:, gains.any(axis=0)]  # (n, bins that the image has)
    is_below = (held[:, None] <= held[None]).all(axis=2)  # [i, j]: i at or below j
    is_first = np.triu(np.ones_like(is_below), k=1)  # of two that are alike the first decides
    return gains[~(is_below & (~is_below.T | is_first)).any(axis=0)]


def sharp_pixels(grey: Grey) -> Mask:
    """The pixels in focus: (H, W) for a grey image (H, W); none in a flat one."""
    height, width = grey.shape
    levels = grey.astype(np.int16)
    # With a border of one pixel for the windows that reach over the edge: a bin that gains nothing.
    bins_x = np.full((height + 2, width + 1), N_BINS, dtype=np.uint8)
    bins_y = np.full((height + 1, width + 2), N_BINS, dtype=np.uint8)
    bins_x[1:-1, 1:-1] = _BIN_OF_DIFFERENCE[np.diff(levels, axis=1) + 255]
    bins_y[1:-1, 1:-1] = _BIN_OF_DIFFERENCE[np.diff(levels, axis=0) + 255]
    log_shares = _log_shares(grey)
    gains = np.zeros((N_KERNELS - 1, 2, 256), dtype=np.int32)  # of blur 1 over each other, by bin
    gains[..., :N_BINS] = np.rint((log_shares[:, :1] - log_shares[:, 1:]) * LIKELIHOOD_STEPS).swapaxes(0, 1)
    for axis, bins in enumerate((bins_x, bins_y)):
        gains[:, axis, np.bincount(bins.ravel(), minlength=256) == 0] = 0

    lowest = np.full((height, width), np.iinfo(np.int32).max, dtype=np.int32)
    gain_x, gain_y = np.empty(bins_x.shape, dtype=np.int32), np.empty(bins_y.shape, dtype=np.int32)
    pairs_x, pairs_y = np.empty((height + 2, width), dtype=np.int32), np.empty((height, width + 2), dtype=np.int32)
    total = np.empty_like(lowest)
    for of_x, of_y in _binding(gains):
        cv2.LUT(bins_x, of_x, dst=gain_x)
        cv2.LUT(bins_y, of_y, dst=gain_y)
        np.add(gain_x[:, :-1], gain_x[:, 1:], out=pairs_x)
        np.add(gain_y[:-1], gain_y[1:], out=pairs_y)
        np.add(pairs_x[:-2], pairs_x[1:-1], out=total)
        for pairs in (pairs_x[2:], pairs_y[:, :-2], pairs_y[:, 1:-1], pairs_y[:, 2:]):
            total += pairs
        np.minimum(lowest, total, out=lowest)
    return lowest > 0


def _cut(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """First index that reaches `CUT` of the total from the left; the one after the first that does from the right."""
    enough = CUT * counts.sum()
    first = int(np.argmax(np.cumsum(counts) >= enough))
    last = int(np.argmax(np.cumsum(counts[::-1]) >= enough))
    return first, len(counts) - last


def region(sharp: Mask) -> Box:
    """The box of the subject; the whole image where nothing is sharp."""
    height, width = sharp.shape
    if not sharp.any():
        return Box(0, height, 0, width)
    return Box(*_cut(sharp.sum(axis=1)), *_cut(sharp.sum(axis=0)))
