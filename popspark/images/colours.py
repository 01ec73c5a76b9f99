"""Colours that a file's embedded ICC profile defines, to sRGB, by LittleCMS (Pillow's ImageCms).

| profile | what becomes of the pixels |
|---|---|
| none, or of sRGB: moves no colour of a grid by more than `SAME_LEVELS` | as they are |
| of RGB, grey, CMYK or Lab, for samples of its kind | to sRGB, perceptual intent |
| of another kind than the samples, broken, or larger than `MAX_BYTES` | as they are: it is ignored, as browsers do |

What colours are by other means (chunks gAMA and cHRM of a PNG, nclx and cICP of HEIC, AVIF and PNG, EXIF's ColorSpace)
is not regarded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

SAME_LEVELS = 1
"""Of 255. Makers' own tables of sRGB's curve differ by so much; the next nearest, of gamma 2.2, by 9."""
MAX_BYTES = 4 << 20
"""Of a profile: those of printing presses, the largest in use, have up to 3 MB."""
CACHED = 16
"""Transforms that a process keeps: 2 ms to make, and files of one camera share theirs."""
MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
"""A profile's colour space, as its header names it, to Pillow's mode."""
BASE_MODES = {"1": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""Modes of images without alpha to those that profiles are of; all others are kinds of RGB."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # an ImportError where Pillow was built without it


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image without transparency as one of mode RGB. profile: the file's, None for none."""
    mode = BASE_MODES.get(image.mode, "RGB")
    convert = _conversion(profile, mode) if profile and len(profile) <= MAX_BYTES else None
    return image.convert("RGB") if convert is None else convert(image.convert(mode))


@lru_cache(CACHED)
def _conversion(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """Images of the mode to sRGB; None where the samples stay as they are."""
    if MODES.get(profile[16:20]) != mode:
        return None
    # Of grey only its 256 levels are converted, where LittleCMS is as exact as it can be: it need not be fast.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(opened, SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL, flags=flags)
        if mode not in ("L", "RGB"):
            return transform.apply
        grid = _levels(mode)
        converted = transform.apply(grid)
    except Exception:  # a hostile profile may raise anything
        return None
    if np.abs(np.asarray(converted).astype(int) - np.asarray(grid.convert("RGB"))).max() <= SAME_LEVELS:
        return None
    return transform.apply if mode == "RGB" else partial(_look_up, converted.tobytes())


def _levels(mode: str) -> Image.Image:
    """All levels of grey in one row, or the colours of 18 levels of each channel."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3))


def _look_up(palette: bytes, grey: Image.Image) -> Image.Image:
    """palette: R, G, B of each level."""
    coloured = grey.copy()
    coloured.putpalette(palette)
    return coloured.convert("RGB")
