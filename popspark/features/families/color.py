"""Colour histogram: 32 values (VSCNN, section III-A, "Color").

The paper names neither the space nor the bins; this is the usual reading of 32: HSV in 8 x 2 x 2 bins.

Symbols: H in [0, 180) and S, V in [0, 255], as OpenCV has them for uint8 images. Bin (h, s, v) holds the share of
pixels with floor(8 H / 180) = h, floor(S / 128) = s, floor(V / 128) = v; the vector is h-major: index 4 h + 2 s + v.
The 32 shares sum to 1. A grey pixel has H = 0 and S = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from popspark.features.family import Calculate, Family, Image

BINS = (8, 2, 2)


def _histogram(image: Image) -> npt.NDArray[np.float32]:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # (H, W, 3)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(BINS), [0, 180, 0, 256, 0, 256])  # (8, 2, 2)
    shares: npt.NDArray[np.float32] = (counts / (hsv.shape[0] * hsv.shape[1])).ravel().astype(np.float32)
    return shares


def load() -> Calculate:
    def calculate(images: Sequence[Image]) -> npt.NDArray[np.float32]:
        return np.stack([_histogram(image) for image in images])

    return calculate


FAMILY = Family(name="color", version="1", dim=32, load=load, labels=tuple(f"hsv_{i:02d}" for i in range(32)))
