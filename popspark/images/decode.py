"""Bytes to uint8 (H, W, 3) RGB: the only module with codecs and their limits.

What each kind of file becomes, so that one image has one meaning:

| file | rule |
|---|---|
| JPEG, PNG, WebP, GIF, BMP, TIFF | told by content, never by name |
| AVIF | where Pillow was built with it, as its wheels are; else `unsupported` |
| HEIC | by pillow-heif (the extra `popspark[heif]`), 10 bits brought to 8; without it `unsupported` |
| HEIF with another codec than HEVC and AV1, or with no brand of either nor `mif1` | `unsupported` |
| raw photographs (DNG, NEF, CR2, ARW, ...) | `unsupported`, and never their preview |
| JPEG XL, JPEG 2000, PSD, SVG, big-endian BigTIFF | `unsupported` |
| any other | `not_an_image`; `error` says what it is where its first bytes do |
| several frames or pages | the first |
| EXIF orientation | applied; broken EXIF counts as upright |
| large JPEG | decoded at 1/2, 1/4 or 1/8 (libjpeg's scaled DCT), the smallest with both sides >= `REDUCED_SIDE_PX` |
| lossless JPEG | decoded in full |
| JPEG that is hierarchical, lossless with arithmetic coding, or of more than 8 bits a sample | `unsupported` |
| grey | the same value in R, G and B |
| palette | its colours, with its transparency |
| alpha, or one colour that is transparent | composed on white |
| an embedded ICC profile | applied: the colours in sRGB (`popspark.images.colours`) |
| CMYK, YCbCr, Lab without one | Pillow's plain conversion |
| 16 bits a channel, in colour, or of grey with alpha in a PNG | the high byte |
| grey of 16 bits | the high 8 of those in use: 8, 10, 12, 14 or 16, the fewest that hold the largest sample |
| grey of 12 bits, in a TIFF | the high 8 |
| signed, 32-bit or float samples | `unsupported`: they have no agreed white |
| TIFF in planes of more than 8 bits without compression, or of grey with alpha | `unsupported`: Pillow misreads them |
| JPEG of more than `Limits.max_scans` scans | `too_slow` |
| JPEG, PNG, GIF or TIFF whose header alone takes seconds: `popspark.images.costs` | `too_slow` |
| PNG with more than 1 MiB of text or profile in a chunk, unpacked, or 64 MiB of text | `corrupt`, as Pillow has it |
| pixels that a stream leaves out though it ends well | the codec's fill, black or grey: Pillow does not tell |

Bytes, pixels and scans are checked before anything is decoded, the pixels from the file's header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError, features
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from popspark.images import costs, kinds
from popspark.images.colours import to_srgb
from popspark.images.limits import DEFAULT_LIMITS, Limits

try:
    from pillow_heif import HeifImageFile
except ImportError:
    HeifImageFile = None

VERSION = "2"
"""Of the rules above; part of every feature's version. 2: embedded colour profiles, grey of few bits."""

Image.init()  # registers WebP and TIFF too; left to itself, Pillow would do it in the middle of the first decode
REDUCED_SIDE_PX = 512
GREY_BITS = (8, 10, 12, 14, 16)
"""Depths of sensors and scanners, whose samples are often written into 16 bits as they are."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow opens MPO, several JPEGs in a file, as JPEG
OPTIONAL = ("AVIF",) if features.check("avif") else ()
ORIENTATIONS = {  # EXIF's values to what sets the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
"""The orientations that swap width and height."""
STATUSES = ("empty", "too_large", "too_many_pixels", "too_slow", "not_an_image", "unsupported", "corrupt")


class ImageRefused(Exception):  # noqa: N818  # not an error of the program: it becomes a row
    """Raised when bytes do not become an image. `status` is one of `STATUSES`."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(status, reason)  # both, so that it can be pickled and come out of a child process
        self.status, self.reason = status, reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded: width and height of the upright picture."""

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
    if reason := costs.slow_header(content):
        raise ImageRefused("too_slow", reason)
    if name := kinds.unread_jpeg(content):
        raise ImageRefused("unsupported", f"{name}; save it as a baseline or progressive one of 8 bits")
    try:
        image = _identify(content)
        if isinstance(image, TiffImageFile):
            _check_tiff(image, content)
    except ImageRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused("too_many_pixels", _reason(error)) from error
    except UnidentifiedImageError as error:
        raise _unread(content) from error
    except Exception as error:  # a hostile file makes a codec raise anything
        raise ImageRefused("corrupt", _reason(error)) from error
    if image.width * image.height > limits.max_pixels:
        pixels = f"{image.width} x {image.height} pixels; the limit is {limits.max_pixels} in all"
        raise ImageRefused("too_many_pixels", pixels)
    if image.format in ("JPEG", "MPO") and (n := costs.count_scans(content, limits.max_scans)) > limits.max_scans:
        raise ImageRefused("too_slow", f"a JPEG of {n} scans; limits.max_scans is {limits.max_scans}")
    return image


def _identify(content: bytes) -> Image.Image:
    if HeifImageFile is not None and kinds.brand_of(content) == "HEIC":
        found: Image.Image = HeifImageFile(BytesIO(content))
        return found
    return Image.open(BytesIO(content), formats=FORMATS + OPTIONAL)


def _unread(content: bytes) -> ImageRefused:
    """The refusal of what no codec took: by what its first bytes say."""
    status, name = kinds.name_unread(content) or ("not_an_image", "")
    if not name:
        return ImageRefused(status, f"none of {', '.join(FORMATS + OPTIONAL)}")
    if status == "corrupt" or name in OPTIONAL:
        return ImageRefused("corrupt", f"its first bytes are those of {name}, its header cannot be read")
    if name == "HEIC":
        return ImageRefused(status, "HEIC; it is read with pip install 'popspark[heif]', on the executors as well")
    if name == "AVIF":
        return ImageRefused(status, "AVIF; this Pillow was built without it, those of PyPI are built with it")
    return ImageRefused(status, f"{name}; convert it to JPEG, PNG or TIFF" if status == "unsupported" else name)


def _check_tiff(image: TiffImageFile, content: bytes) -> None:
    if name := kinds.raw_format(image, content):
        raise ImageRefused("unsupported", f"raw photograph ({name}); convert it to JPEG, PNG or TIFF")
    if kinds.is_misread_planar(image):
        bits = max(image.tag_v2[BITSPERSAMPLE])
        raise ImageRefused("unsupported", f"TIFF in planes ({image.mode}, {bits} bits); save it without planes")
    if image.mode in ("I", "F") or image.tag_v2.get(SAMPLEFORMAT, (1,))[0] != 1:
        raise ImageRefused("unsupported", f"signed, 32-bit or float samples (mode {image.mode}) have no agreed white")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF says nothing about the image
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = ORIENTATIONS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _is_sideways(image: Image.Image, content: bytes) -> bool:
    """Whether decoding swaps the width and height that the opened image has."""
    if isinstance(image, TiffImageFile) and ExifTags.Base.Orientation in image.tag_v2:
        return False  # Pillow gives those of the upright picture
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        try:
            image = Image.open(BytesIO(kinds.with_texts_first(content)), formats=["PNG"])
        except Exception:  # broken texts say nothing about the image
            return False
        image.info.setdefault("exif", None)  # or Pillow decodes the picture in the search of one
    return _orientation(image) in SIDEWAYS


def _scale_transparent_colour(image: Image.Image) -> None:
    """A PNG names its transparent colour in its own samples, Pillow leaves it so when it scales these to 8 bits."""
    colour = image.info.get("transparency")
    for tile in image.tile if isinstance(image, PngImageFile) else ():
        if tile.args == "RGB;16B" and isinstance(colour, tuple):
            image.info["transparency"] = tuple(sample >> 8 for sample in colour)
        elif tile.args in ("L;2", "L;4") and isinstance(colour, int):
            image.info["transparency"] = colour * (85 if tile.args == "L;2" else 17)


def _high_bits(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """Grey of more than 8 bits as grey of 8, of mode L or, with a transparent colour, LA."""
    samples = np.asarray(image)
    declared = max(tags.get(BITSPERSAMPLE) or (16,))
    largest = int(samples.max(initial=0))
    n_bits = declared if declared < 16 else next(n for n in GREY_BITS if largest < 1 << n)
    if tags.get(PHOTOMETRIC_INTERPRETATION) == 0:  # 0 is white; Pillow turns only 8-bit ones round
        samples = (1 << n_bits) - 1 - samples
    grey = Image.fromarray((samples >> (n_bits - 8)).astype(np.uint8))
    if isinstance(colour := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(np.asarray(image) == colour, 0, 255).astype(np.uint8)))
    return grey


def _to_rgb(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """tags: a TIFF's own, which a turned image no longer has."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = _high_bits(image, tags)
    if not image.has_transparency_data:
        return to_srgb(image, profile)
    layer = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    opaque = to_srgb(layer.convert(layer.mode[:-1]), profile)
    opaque.putalpha(layer.getchannel("A"))
    white = Image.new("RGBA", opaque.size, "white")
    return Image.alpha_composite(white, opaque).convert("RGB")


def read_header(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """The header alone, nothing decoded; raises `ImageRefused`."""
    image = _open(content, limits)
    size = image.size[::-1] if _is_sideways(image, content) else image.size
    return Header({"MPO": "JPEG", "HEIF": "HEIC"}.get(str(image.format), str(image.format)), *size)


def decode(
    content: bytes,
    limits: Limits = DEFAULT_LIMITS,
    reduced_side_px: int | None = REDUCED_SIDE_PX,
) -> npt.NDArray[np.uint8]:
    """The image as uint8 (H, W, 3) RGB, upright; raises `ImageRefused` whatever the codec throws.

    reduced_side_px: None decodes a JPEG in full; otherwise both sides of a reduced one stay at least this long.
    """
    image = _open(content, limits)
    try:
        is_lossless = kinds.jpeg_frame(content)[0] == kinds.LOSSLESS  # which libjpeg-turbo does not scale
        if reduced_side_px and image.format in ("JPEG", "MPO") and not is_lossless:
            image.draft(None, (reduced_side_px, reduced_side_px))
        named = (PHOTOMETRIC_INTERPRETATION, BITSPERSAMPLE)
        tags = {tag: image.tag_v2.get(tag) for tag in named} if isinstance(image, TiffImageFile) else {}
        _scale_transparent_colour(image)
        image.load()  # by itself, for what follows would take a codec's fault for one of its own
        pixels = np.asarray(_to_rgb(_upright(image), tags))
    except ImageRefused:
        raise
    except Exception as error:  # a hostile file makes a codec raise anything
        raise ImageRefused("corrupt", _reason(error)) from error
    return np.ascontiguousarray(pixels)


def sha256(content: bytes) -> str:
    """Of the file's bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def shrink(image: npt.NDArray[np.uint8], short_side_px: int = 256, max_aspect: int = 8, quality: int = 92) -> bytes:
    """A small JPEG of an image, uint8 (H, W, 3), for training: some 20 kB.

    Its short side is at most `short_side_px`; an image longer than `max_aspect` loses its ends.
    """
    height, width = (min(side, max_aspect * min(image.shape[:2])) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    middle = Image.fromarray(image[top : top + height, left : left + width])
    scale = min(1.0, short_side_px / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    stream = BytesIO()
    middle.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=quality)
    return stream.getvalue()
