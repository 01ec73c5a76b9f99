"""The subject of a photograph: the part that is in focus (Luo and Tang, ECCV 2008, 3.1, after Levin, NIPS 2006).

Symbols: g the grey picture, uint8 (H, W); g_k the means of g over k x k windows, k = 1..`N_KERNELS`; dx, dy the
differences of horizontal and vertical neighbours; p_k, q_k the shares of dx and dy of g_k in each of 41 bins on
[-1, 1] (grey levels over 255).

1. The log-likelihood of pixel (i, j) under blur k: l_k = sum over its 3 x 3 window of log p_k(dx) + log q_k(dy), with
   dx, dy those of g itself.
2. A pixel is sharp where l_1 > l_k for every k > 1.
3. The region is the box between the columns, and the rows, outside of which 5 % of the sharp pixels lie on either side.

Choices that the paper leaves open:
- bins: 41 on [-1, 1], and an empty bin counts 1e-8 pixels, both as OpenIMAJ's `DepthOfFieldEstimator` has them; a value
  goes to the nearest bin centre, so that d and -d land in opposite bins;
- edges: the picture goes on with the value at its edge, and g_k has every window that k // 2 rows and columns of it
  allow: H x W of them for odd k, (H + 1) x (W + 1) for even k;
- a window holds the differences between its own pixels, 3 x 2 and 2 x 3, fewer at the edge of the picture.
The last two make the map of a mirrored, turned or transposed picture the mirrored, turned or transposed map.
- a tie is not sharp: a flat picture, whose blurs are all alike, has no sharp pixel.

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
_BIN_OF_DIFFERENCE = np.rint(np.arange(-255, 256) * (N_BINS / 510)).astype(np.int64) + _CENTRE  # (511,)


class Box(NamedTuple):
    """Rows top..bottom and columns left..right of a picture, the last not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def n_pixels(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)


def _histogram(differences: npt.NDArray[np.int16], k: int) -> npt.NDArray[np.float64]:
    """Counts (41,) of differences of k x k means, given as k times themselves, so in [-255 k, 255 k]."""
    counts = np.zeros(N_BINS)
    farthest = int(np.rint(N_BINS / 2 / k))  # |mean difference| <= 255 / k
    for sign in (1, -1):
        outside = 0
        for offset in range(farthest, 0, -1):
            edge = int((offset - 0.5) * 510 / N_BINS * k**2)
            beyond = np.count_nonzero(differences > edge if sign > 0 else differences < -edge)
            counts[_CENTRE + sign * offset] = beyond - outside
            outside = beyond
    counts[_CENTRE] = differences.size - counts.sum()
    return counts


def _log_shares(grey: Grey) -> npt.NDArray[np.float64]:
    """log p_k and log q_k: (2, N_KERNELS, N_BINS), the former of dx, the latter of dy."""
    height, width = grey.shape
    margin = N_KERNELS // 2
    wide = np.pad(grey, margin, mode="edge").astype(np.uint16)
    table = np.empty((2, N_KERNELS, N_BINS))
    for axis, picture in enumerate((wide, np.ascontiguousarray(wide.T))):
        n_rows, n_columns = (height, width) if axis == 0 else (width, height)
        # Sums down the columns; they wrap at 2^16, their differences over at most 50 rows do not.
        sums = np.zeros((picture.shape[0] + 1, picture.shape[1]), dtype=np.uint16)
        np.cumsum(picture, axis=0, dtype=np.uint16, out=sums[1:])
        for k in range(1, N_KERNELS + 1):
            start, pad = margin - k // 2, k // 2
            stop = start + n_rows + 2 * pad - k + 1
            columns = slice(start, start + n_columns + 2 * pad)
            window = (sums[start + k : stop + k, columns] - sums[start:stop, columns]).view(np.int16)
            differences = window[:, k:] - window[:, : window.shape[1] - k]
            counts = _histogram(differences, k)
            table[axis, k - 1] = np.log(np.where(counts > 0, counts, EMPTY_BIN_COUNT) / max(differences.size, 1))
    return table


def sharp_pixels(grey: Grey) -> Mask:
    """The pixels in focus: (H, W) for a grey picture (H, W); none in a flat one."""
    log_shares = _log_shares(grey)
    gains = np.rint((log_shares[:, :1] - log_shares[:, 1:]) * LIKELIHOOD_STEPS).astype(np.int32)  # (2, 49, 41)
    levels = grey.astype(np.int16)
    bin_x = _BIN_OF_DIFFERENCE[np.diff(levels, axis=1) + 255]  # (H, W - 1)
    bin_y = _BIN_OF_DIFFERENCE[np.diff(levels, axis=0) + 255]  # (H - 1, W)
    height, width = grey.shape
    # With a border of one pixel for the windows that reach over the edge: a bin that gains nothing.
    at_x = np.pad(bin_x, ((1, 1), (1, 1)), constant_values=N_BINS).astype(np.uint8)  # (H + 2, W + 1)
    at_y = np.pad(bin_y, ((1, 1), (1, 1)), constant_values=N_BINS).astype(np.uint8)  # (H + 1, W + 2)
    lowest = np.full((height, width), np.iinfo(np.int32).max, dtype=np.int32)
    table = np.zeros((2, 256), dtype=np.int32)
    for k in range(N_KERNELS - 1):
        table[:, :N_BINS] = gains[:, k]
        gain_x, gain_y = cv2.LUT(at_x, table[0]), cv2.LUT(at_y, table[1])
        pair_x = gain_x[:, :-1] + gain_x[:, 1:]  # (H + 2, W)
        pair_y = gain_y[:-1] + gain_y[1:]  # (H, W + 2)
        gain = pair_x[:-2] + pair_x[1:-1]
        gain += pair_x[2:]
        gain += pair_y[:, :-2]
        gain += pair_y[:, 1:-1]
        gain += pair_y[:, 2:]
        np.minimum(lowest, gain, out=lowest)
    return lowest > 0


def _cut(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """First index that reaches `CUT` of the total from the left; the one after the first that does from the right."""
    enough = CUT * counts.sum()
    first = int(np.argmax(np.cumsum(counts) >= enough))
    last = int(np.argmax(np.cumsum(counts[::-1]) >= enough))
    return first, len(counts) - last


def region(sharp: Mask) -> Box:
    """The box of the subject; the whole picture where nothing is sharp."""
    height, width = sharp.shape
    if not sharp.any():
        return Box(0, height, 0, width)
    return Box(*_cut(sharp.sum(axis=1)), *_cut(sharp.sum(axis=0)))
