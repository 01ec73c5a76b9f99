"""The map of sharp pixels from the definition in `_subject_region`: float64, one blur after the other."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter


def _bins(differences: np.ndarray) -> np.ndarray:
    """Of 41 on [-1, 1], the one with the nearest centre."""
    return np.rint(differences * 20.5).astype(int) + 20


def _log_shares(differences: np.ndarray) -> np.ndarray:
    counts = np.bincount(_bins(differences).ravel(), minlength=41).astype(float)
    counts[counts == 0] = 1e-8
    return np.log(counts / max(differences.size, 1))


def _window_sums(values_x: np.ndarray, values_y: np.ndarray) -> np.ndarray:
    """Over each pixel's 3 x 3 window, the values of the differences between its own pixels."""
    height, width = values_y.shape[0] + 1, values_x.shape[1] + 1
    sums = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            top, bottom, left, right = max(i - 1, 0), min(i + 1, height - 1), max(j - 1, 0), min(j + 1, width - 1)
            sums[i, j] = values_x[top : bottom + 1, left:right].sum() + values_y[top:bottom, left : right + 1].sum()
    return sums


def sharpness(grey: np.ndarray, window_sums=_window_sums) -> np.ndarray:
    """By how much blur 1 is likelier than the next likely one, per pixel (H, W): sharp pixels have more than 0."""
    image = grey.astype(float) / 255
    bin_x, bin_y = _bins(np.diff(image, axis=1)), _bins(np.diff(image, axis=0))
    likelihoods = []
    for k in range(1, 51):
        pad = k // 2
        means = uniform_filter(np.pad(image, 2 * pad, mode="edge"), size=k, mode="nearest")
        # uniform_filter's window of an even k starts k / 2 before its pixel; keep those inside k // 2 rows and columns.
        means = means[2 * pad : 2 * pad + grey.shape[0] + 1 - k % 2, 2 * pad : 2 * pad + grey.shape[1] + 1 - k % 2]
        log_p, log_q = _log_shares(np.diff(means, axis=1)), _log_shares(np.diff(means, axis=0))
        likelihoods.append(window_sums(log_p[bin_x], log_q[bin_y]))
    return likelihoods[0] - np.max(likelihoods[1:], axis=0)


def shifted_window_sums(values_x: np.ndarray, values_y: np.ndarray) -> np.ndarray:
    """The same sums from shifted copies: what a first version in numpy would do. Used for time, not for truth."""
    wide_x, wide_y = np.pad(values_x, 1), np.pad(values_y, 1)
    height, width = values_y.shape[0] + 1, values_x.shape[1] + 1
    of_x = sum(wide_x[i : i + height, j : j + width] for i in range(3) for j in range(2))
    of_y = sum(wide_y[i : i + height, j : j + width] for i in range(2) for j in range(3))
    return of_x + of_y
