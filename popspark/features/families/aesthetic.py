"""Aesthetic quality: 11 values (VSCNN, section III-A, "High-level Features"), after photographers' rules.

Everything is computed on the working image I: RGB uint8 (H, W, 3), resized so that its long side is `LONG_SIDE_PX`
(reduced by area, enlarged bilinearly, each side at least 1), because sharpness depends on size and the paper states
none. g is its grey image (Rec. 601, uint8). S are the sharp pixels, R the box of the subject, both by
`popspark.features.families._subject_region`; B, the background, is what lies outside of R. |X| counts pixels.

- clarity_contrast, >= 0: (M_R / |R|) / (M_I / |I|), M_X being the number of frequencies of g on X, the mean included,
  with |F| > 0.2 max |F| (Luo and Tang, ECCV 2008, 3.2)
- hue_count, 0..20: 20 - n, n being the bins, of 20, that hold more than 0.05 of the fullest one's pixels; only pixels
  with saturation > 0.2 and value in [0.15, 0.95] count (Ke, Tang and Jing, CVPR 2006; VSCNN, equations 1 and 2)
- brightness_contrast, 0..5.6: |ln(mean g on R / mean g on B)|, means of at least one grey level (Luo and Tang, 3.3)
- entropy_red, entropy_green, entropy_blue, 0..8: - sum p log2 p over the channel's 256 levels, in bits (VSCNN, [42])
- entropy_lab_l, entropy_lab_a, entropy_lab_b, 0..8: the same in CIE L*a*b*, as OpenCV has it for uint8 (VSCNN, [42])
- composition, 0..0.48: the smallest distance from the centroid of S to the four points at thirds of W and H, each axis
  over its length (Luo and Tang, 3.5)
- background_simplicity, 0..100: share of the 4,096 colour bins (16 levels a channel) that hold at least 0.01 of the
  fullest one's pixels of B, in % (Luo and Tang, 3.4)

Choices that the papers leave open: the working size; grey and Lab; the colour entropies over the whole image; hue in
bins of 18 degrees from 0; HSV as OpenCV has it for uint8 (H in 0..179, S and V over 255). VSCNN takes brightness and
composition from a successor of Luo and Tang ([41]) whose definitions of these two are theirs.

Where a formula has no value, always finite:
- nothing is sharp (a flat image): R is the whole image and the centroid its centre, so clarity is 1 and
  composition sqrt(2) / 6;
- no background (R is the whole image): brightness contrast 0, background simplicity 0;
- a black region: no frequency passes its own maximum of 0, so clarity is 0, and 1 where the whole image is black;
- no pixel of good hue (a grey image): hue count 20.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from popspark.features.families._subject_region import Box, Grey, Mask, region, sharp_pixels
from popspark.features.family import Calculate, Family, Image

LONG_SIDE_PX = 256
CLARITY_SHARE = 0.2
HUE_BINS, HUE_SHARE = 20, 0.05
MIN_SATURATION, MIN_VALUE, MAX_VALUE = 0.2, 0.15, 0.95
COLOUR_LEVELS, COLOUR_SHARE = 16, 0.01

LABELS = (
    "clarity_contrast",
    "hue_count",
    "brightness_contrast",
    "entropy_red",
    "entropy_green",
    "entropy_blue",
    "entropy_lab_l",
    "entropy_lab_a",
    "entropy_lab_b",
    "composition",
    "background_simplicity",
)


def working_image(image: Image) -> Image:
    """The image with its long side at `LONG_SIDE_PX`."""
    height, width = image.shape[:2]
    scale = LONG_SIDE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _n_strong_frequencies(grey: Grey) -> int:
    strength = np.abs(scipy.fft.rfft2(grey.astype(np.float64), workers=1))  # (H, W // 2 + 1)
    strong = strength > CLARITY_SHARE * strength.max()
    # The half that a real image's transform leaves out mirrors the columns between the first and the Nyquist one.
    mirrored = strong[:, 1 : (grey.shape[1] + 1) // 2]
    return int(np.count_nonzero(strong) + np.count_nonzero(mirrored))


def clarity_contrast(grey: Grey, box: Box) -> float:
    of_image = _n_strong_frequencies(grey)
    if of_image == 0:
        return 1.0
    of_region = _n_strong_frequencies(grey[box.top : box.bottom, box.left : box.right])
    return (of_region / box.n_pixels) / (of_image / grey.size)


def hue_count(image: Image) -> float:
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    good = (saturation > 255 * MIN_SATURATION) & (value >= 255 * MIN_VALUE) & (value <= 255 * MAX_VALUE)
    counts = np.bincount(hue[good] // np.uint8(180 // HUE_BINS), minlength=HUE_BINS)
    return float(HUE_BINS - np.count_nonzero(counts > HUE_SHARE * counts.max()))


def brightness_contrast(grey: Grey, box: Box) -> float:
    n_background = grey.size - box.n_pixels
    if n_background == 0:
        return 0.0
    subject = int(grey[box.top : box.bottom, box.left : box.right].sum(dtype=np.int64))
    background = int(grey.sum(dtype=np.int64)) - subject
    return float(abs(np.log(max(1.0, subject / box.n_pixels) / max(1.0, background / n_background))))


def entropy(channel: npt.NDArray[np.uint8]) -> float:
    """In bits, over 256 levels."""
    counts = cv2.calcHist([channel], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    shares = counts[counts > 0] / channel.size
    return float(np.sum(shares * -np.log2(shares)))


def composition(sharp: Mask) -> float:
    height, width = sharp.shape
    n_sharp = np.count_nonzero(sharp)
    if n_sharp == 0:
        x = y = 0.5
    else:
        x = float((sharp.sum(axis=0) @ (np.arange(width) + 0.5)) / n_sharp / width)
        y = float((sharp.sum(axis=1) @ (np.arange(height) + 0.5)) / n_sharp / height)
    return float(np.hypot(min(abs(x - 1 / 3), abs(x - 2 / 3)), min(abs(y - 1 / 3), abs(y - 2 / 3))))


def background_simplicity(image: Image, box: Box) -> float:
    if box.n_pixels == image.shape[0] * image.shape[1]:
        return 0.0
    ranges = [0, 256] * 3
    mask = np.full(image.shape[:2], 255, dtype=np.uint8)
    mask[box.top : box.bottom, box.left : box.right] = 0
    counts = cv2.calcHist([image], [0, 1, 2], mask, [COLOUR_LEVELS] * 3, ranges)
    return 100 * float(np.count_nonzero(counts >= COLOUR_SHARE * counts.max()) / counts.size)


def _values(image: Image) -> list[float]:
    working = working_image(image)
    grey = cv2.cvtColor(working, cv2.COLOR_RGB2GRAY)
    sharp = sharp_pixels(grey)
    box = region(sharp)
    channels = (*cv2.split(working), *cv2.split(cv2.cvtColor(working, cv2.COLOR_RGB2LAB)))
    return [
        clarity_contrast(grey, box),
        hue_count(working),
        brightness_contrast(grey, box),
        *(entropy(channel) for channel in channels),
        composition(sharp),
        background_simplicity(working, box),
    ]


def load() -> Calculate:
    def calculate(images: Sequence[Image]) -> npt.NDArray[np.float32]:
        return np.array([_values(image) for image in images], dtype=np.float32)

    return calculate


FAMILY = Family(name="aesthetic", version="1", dim=len(LABELS), load=load, labels=LABELS)
