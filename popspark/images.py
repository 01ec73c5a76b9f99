"""Bytes to uint8 (H, W, 3) RGB: the only place with codecs and their limits.

What each kind of file becomes, so that one image has one meaning:

| file | rule |
|---|---|
| JPEG, PNG, WebP, GIF, BMP, TIFF | told by content, never by name; any other is `not_an_image` |
| several frames or pages | the first |
| EXIF orientation | applied; broken EXIF counts as upright |
| large JPEG | decoded at 1/2, 1/4 or 1/8 (libjpeg's scaled DCT), the smallest with both sides >= `REDUCED_SIDE_PX` |
| grey | the same value in R, G and B |
| palette | its colours, with its transparency |
| alpha | composed on white |
| CMYK, YCbCr, Lab | Pillow's plain conversion; embedded colour profiles are not applied |
| 16 bit per channel | the high byte |
| 32-bit integer or float samples | `unsupported`: they have no agreed white |

Bytes and pixels are checked before anything is decoded, the pixels from the file's header.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from popspark.config import Section

VERSION = "1"
"""Of the rules above; part of every feature's version."""

Image.init()  # Pillow registers MPO only when asked for all its formats
REDUCED_SIDE_PX = 512
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # MPO: a JPEG with more pictures behind the first
STATUSES = ("empty", "too_large", "too_many_pixels", "not_an_image", "unsupported", "corrupt")


class Limits(Section):
    """max_bytes: of the file. max_pixels: width times height as its header states them."""

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000


DEFAULT_LIMITS = Limits()


class ImageRefused(Exception):  # noqa: N818  # not an error of the program: it becomes a row
    """Raised when bytes do not become an image. `status` is one of `STATUSES`."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded."""

    format: str
    width_px: int
    height_px: int


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _open(content: bytes, limits: Limits) -> Image.Image:
    if not content:
        raise ImageRefused("empty", "the file has no bytes")
    if len(content) > limits.max_bytes:
        raise ImageRefused("too_large", f"{len(content)} bytes; the limit is {limits.max_bytes}")
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageRefused("too_many_pixels", _reason(error)) from error
    except UnidentifiedImageError as error:
        raise ImageRefused("not_an_image", f"none of {', '.join(FORMATS)}") from error
    except Exception as error:  # a hostile file makes a codec raise anything
        raise ImageRefused("corrupt", _reason(error)) from error
    if image.width * image.height > limits.max_pixels:
        pixels = f"{image.width} x {image.height} pixels; the limit is {limits.max_pixels} in all"
        raise ImageRefused("too_many_pixels", pixels)
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the picture
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageRefused("unsupported", f"samples of mode {image.mode} have no agreed white")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def read_header(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """The header alone, nothing decoded; raises `ImageRefused`."""
    image = _open(content, limits)
    return Header("JPEG" if image.format == "MPO" else str(image.format), image.width, image.height)


def decode(
    content: bytes,
    limits: Limits = DEFAULT_LIMITS,
    reduced_side_px: int | None = REDUCED_SIDE_PX,
) -> npt.NDArray[np.uint8]:
    """The picture as uint8 (H, W, 3) RGB, upright; raises `ImageRefused` whatever the codec throws.

    reduced_side_px: None decodes a JPEG in full; otherwise both sides of a reduced one stay at least this long.
    """
    image = _open(content, limits)
    try:
        if reduced_side_px and image.format in ("JPEG", "MPO"):
            image.draft(None, (reduced_side_px, reduced_side_px))
        pixels = np.asarray(_to_rgb(_upright(image)))
    except ImageRefused:
        raise
    except Exception as error:  # a hostile file makes a codec raise anything
        raise ImageRefused("corrupt", _reason(error)) from error
    return np.ascontiguousarray(pixels)


def sha256(content: bytes) -> str:
    """Of the file's bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
