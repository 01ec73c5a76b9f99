"""Each rule of popspark.images.decode' table, its limits, and files that mean harm."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageFile

from popspark.images import decode as codecs
from popspark.images.decode import ImageRefused, decode, read_header
from popspark.images.limits import DEFAULT_LIMITS, Limits
from tests.encoded import encode, one_of_each, picture, png, png_chunk

RNG = np.random.default_rng(20260106)
LOSSY = ("JPEG", "progressive JPEG", "MPO", "WebP", "GIF", "animated GIF", "AVIF", "animated AVIF", "HEIC")


def _refusal(content: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[str, str]:
    with pytest.raises(ImageRefused) as raised:
        decode(content, limits)
    return raised.value.status, str(raised.value)


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


# Formats and frames


@pytest.mark.parametrize("name", one_of_each())
def test_each_format_gives_its_first_picture(name: str) -> None:
    pixels = decode(one_of_each()[name])
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.shape == (40, 60, 3)
    difference = np.abs(pixels.astype(int) - picture()).mean()
    assert difference < 6 if name in LOSSY else difference == 0


@pytest.mark.parametrize("name", one_of_each())
def test_the_header_alone(name: str) -> None:
    assert read_header(one_of_each()[name]) == codecs.Header(
        {"MPO": "JPEG"}.get(name, name.split()[-1].upper()), width_px=60, height_px=40
    )


@pytest.mark.parametrize("content", [b"plain text, whatever the name says", b"\0" * 100, b"GIF89"])
def test_other_content_is_not_an_image(content: bytes) -> None:
    assert _refusal(content) == ("not_an_image", f"none of {', '.join(codecs.FORMATS + codecs.OPTIONAL)}")


def test_formats_that_are_not_wanted_are_not_an_image() -> None:
    assert _refusal(encode(picture(), "PPM"))[0] == "not_an_image"
    assert _refusal(encode(picture(), "ICO"))[0] == "not_an_image"


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(format: str, orientation: int) -> None:
    upright = picture(32, 48)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encode(np.ascontiguousarray(stored), format, exif=exif)
    pixels = decode(content)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 6


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40]
)
def test_broken_exif_counts_as_upright(exif: bytes) -> None:
    assert decode(encode(picture(), "JPEG", exif=exif)).shape == (40, 60, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_exif_does_not_know_counts_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    np.testing.assert_array_equal(decode(encode(picture(), "PNG", exif=exif)), picture())


# Reduced decode


@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((1200, 1000), (1200, 1000)),  # a half is below 512
        ((1100, 1024), (550, 512)),
        ((2000, 3000), (1000, 1500)),
        ((2048, 2400), (512, 600)),
        ((4100, 4096), (513, 512)),
        ((8200, 8192), (1025, 1024)),  # an eighth is the least that libjpeg has
        ((40, 9000), (40, 9000)),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_size_with_both_sides_long_enough(
    size: tuple[int, int], reduced: tuple[int, int]
) -> None:
    content = encode(Image.new("RGB", size[::-1], (200, 100, 50)), "JPEG", quality=95)
    limits = Limits(max_pixels=100_000_000)
    assert decode(content, limits).shape == (*reduced, 3)
    assert decode(content, limits, reduced_side_px=None).shape == (*size, 3)
    assert np.abs(decode(content, limits).astype(int) - (200, 100, 50)).max() <= 3


def test_only_jpeg_is_decoded_reduced() -> None:
    assert decode(encode(Image.new("RGB", (1024, 1024)), "PNG")).shape == (1024, 1024, 3)


# Limits


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: ImageFile.ImageFile) -> None:
        pytest.fail(f"a {image.format} was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


def test_no_bytes() -> None:
    assert _refusal(b"") == ("empty", "the file has no bytes")


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("name", one_of_each())
def test_pixels_are_counted_before_decoding(name: str) -> None:
    content = one_of_each()[name]
    expected = ("too_many_pixels", "60 x 40 pixels; the limit is 2399 in all")
    assert _refusal(content, Limits(max_pixels=2399)) == expected


@pytest.mark.usefixtures("no_decoding")
def test_bytes_are_counted_before_anything_is_read() -> None:
    content = one_of_each()["PNG"]
    assert _refusal(content, Limits(max_bytes=len(content) - 1)) == (
        "too_large",
        f"{len(content)} bytes; the limit is {len(content) - 1}",
    )


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("side", [10_000, 100_000, 2**31 - 1])
def test_a_header_that_claims_too_much(side: int) -> None:
    assert _refusal(png(side, side, 8, 2, b"\0" * 10))[0] == "too_many_pixels"


def test_the_limits_themselves_are_allowed() -> None:
    content = one_of_each()["PNG"]
    assert decode(content, Limits(max_bytes=len(content), max_pixels=2400)).shape == (40, 60, 3)


# Files that mean harm


@pytest.mark.parametrize("name", one_of_each(120, 160))
@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
def test_a_truncated_file_is_refused_at_every_length(name: str) -> None:
    content = one_of_each(120, 160)[name]
    for length in {1, 4, 11, 20, 40, len(content) // 3, len(content) // 2}:
        assert _refusal(content[:length])[0] in ("not_an_image", "corrupt")


def test_a_truncated_file_that_is_turned_is_refused_too() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = encode(picture(120, 160), "JPEG", exif=exif, quality=95)
    assert _refusal(content[: len(content) // 2])[0] == "corrupt"


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_extreme_shapes(format: str, size: tuple[int, int]) -> None:
    assert decode(encode(Image.new("RGB", size, (9, 9, 9)), format)).shape == (size[1], size[0], 3)


def test_a_compressed_text_that_grows_without_end_is_refused() -> None:
    bomb = png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"x" * 100_000_000, 9))
    status, reason = _refusal(png(9, 8, 8, 0, b"\0" * 9, bomb))
    assert status == "corrupt"
    assert reason == "ValueError: Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK"


def test_a_chunk_that_claims_more_than_the_file_has() -> None:
    content = bytearray(one_of_each()["PNG"])
    content[33:37] = struct.pack(">I", 2**31 - 1)  # the length of the chunk behind IHDR
    np.testing.assert_array_equal(decode(bytes(content)), picture())  # all of its pixels are there


def test_pixels_that_a_well_formed_stream_leaves_out_are_black() -> None:
    pixels = decode(png(60, 4000, 8, 0, b"\7" * 60))  # rows for 1,000
    assert np.unique(pixels[:1000]).tolist() == [7]
    assert np.unique(pixels[1000:]).tolist() == [0]


@pytest.mark.parametrize("fault", [MemoryError, RecursionError, struct.error, ZeroDivisionError, SyntaxError, OSError])
@pytest.mark.parametrize("method", ["load", "getexif"])
def test_whatever_a_codec_throws(fault: type[Exception], method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def throw(image: Image.Image) -> None:
        raise fault("first line\nsecond line")

    content = one_of_each()["BMP"]
    monkeypatch.setattr(ImageFile.ImageFile if method == "load" else Image.Image, method, throw)
    if method == "getexif":
        np.testing.assert_array_equal(decode(content), picture())
    else:
        assert _refusal(content) == ("corrupt", f"{fault.__name__}: first line")


def test_the_reason_is_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def throw(image: Image.Image) -> None:
        raise ValueError("x" * 10_000)

    monkeypatch.setattr(ImageFile.ImageFile, "load", throw)
    assert len(_refusal(one_of_each()["BMP"])[1]) == 200


# Small copies


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((300, 600), (256, 512)),
        ((600, 300), (512, 256)),
        ((40, 30), (40, 30)),
        ((1, 10_000), (1, 8)),
        ((300, 9000), (256, 2048)),
    ],
)
def test_a_small_copy_keeps_the_picture_and_its_proportions(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    height, width = shape
    slope = np.linspace(0, 255, height)[:, None, None] / 2 + np.linspace(0, 255, width)[None, :, None] / 2
    image = np.broadcast_to(slope, (*shape, 3)).astype(np.uint8)
    small = decode(codecs.shrink(image))
    assert small.shape == (*expected, 3)
    if max(shape) < 8 * min(shape):
        assert abs(float(small.mean()) - float(image.mean())) < 2
