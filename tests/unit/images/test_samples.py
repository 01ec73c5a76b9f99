"""What samples become: grey, palettes, transparency, inks, and depths of more than 8 bits."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from popspark.images.decode import ImageRefused, decode
from tests.encoded import encode, picture, png, png_chunk, tiff

RNG = np.random.default_rng(20260106)


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def test_grey_is_the_same_value_three_times() -> None:
    grey = picture()[..., 0]
    np.testing.assert_array_equal(decode(encode(grey, "PNG")), np.dstack([grey] * 3))


def test_one_bit_is_black_and_white() -> None:
    bits = Image.fromarray(picture()[..., 0] > 127).convert("1")
    assert np.unique(decode(encode(bits, "PNG"))).tolist() == [0, 255]


def test_a_palette_gives_its_colours_and_its_transparency() -> None:
    indices = np.zeros((4, 6), dtype=np.uint8)
    indices[:, 2:] = 1
    indices[:, 4:] = 2
    image = Image.fromarray(indices).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 0])
    pixels = decode(encode(image, "PNG", transparency=bytes([255, 0, 128])))
    assert pixels[0, [0, 2, 4]].tolist() == [[10, 20, 30], [255, 255, 255], [127, 127, 127]]
    gif = decode(encode(image, "GIF", transparency=1))
    assert gif[0, [0, 2, 4]].tolist() == [[10, 20, 30], [255, 255, 255], [0, 0, 0]]


@pytest.mark.parametrize(("alpha", "expected"), [(255, 40), (0, 255), (51, 212)])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composed_on_white(format: str, mode: str, alpha: int, expected: int) -> None:
    colour = (40, 40, 40, alpha) if mode == "RGBA" else (40, alpha)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = decode(encode(Image.new(mode, (8, 8), colour), format, **options))
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "key"),
    [
        (8, 0, bytes([34, 40]), bytes([0, 34])),
        (4, 0, bytes([0x23]), bytes([0, 2])),
        (2, 0, bytes([0b10010000]), bytes([0, 2])),
        (16, 0, bytes([1, 2, 1, 3]), bytes([1, 2])),
        (8, 2, bytes([1, 2, 3, 1, 2, 4]), bytes([0, 1, 0, 2, 0, 3])),
        (16, 2, bytes([1, 0, 2, 0, 3, 0, 1, 0, 2, 0, 4, 0]), bytes([1, 0, 2, 0, 3, 0])),
    ],
)
def test_the_transparent_colour_of_a_png_is_white(depth: int, colour_type: int, row: bytes, key: bytes) -> None:
    pixels = decode(png(2, 3, depth, colour_type, row, png_chunk(b"tRNS", key)))
    np.testing.assert_array_equal(pixels[:, 0], 255)
    assert (pixels[:, 1] < 255).all()


def test_cmyk() -> None:
    white, red = decode(encode(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")), (0, 255, 255, 0)
    np.testing.assert_array_equal(white, 255)
    pixels = decode(encode(Image.new("CMYK", (8, 8), red), "TIFF"))
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_ycbcr_and_lab() -> None:
    assert decode(encode(Image.new("YCbCr", (8, 8), (255, 128, 128)), "TIFF")).min() >= 254
    assert decode(encode(Image.new("LAB", (8, 8), (255, 128, 128)), "TIFF")).min() >= 250


DEEP = RNG.integers(0, 65_536, (8, 9, 3)).astype(np.uint16)
DEEP_GREY = np.repeat(DEEP[..., :1], 3, axis=2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (cv2.imencode(".png", DEEP[..., ::-1].copy())[1].tobytes(), DEEP >> 8),
        (cv2.imencode(".png", DEEP[..., 0].copy())[1].tobytes(), DEEP_GREY >> 8),
        (_tiff(DEEP, photometric="rgb"), DEEP >> 8),
        (_tiff(DEEP[..., 0], photometric="minisblack"), DEEP_GREY >> 8),
        (_tiff(DEEP[..., 0], photometric="minisblack", byteorder=">"), DEEP_GREY >> 8),
        (_tiff(DEEP[..., 0], photometric="miniswhite"), 255 - (DEEP_GREY >> 8)),
    ],
    ids=["PNG RGB", "PNG grey", "TIFF RGB", "TIFF grey", "big-endian TIFF grey", "TIFF grey with white 0"],
)
def test_16_bits_give_their_high_byte(content: bytes, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(content), expected)


@pytest.mark.parametrize(
    ("largest", "n_bits"),
    [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16_383, 14), (16_384, 16), (65_535, 16)],
)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "big-endian TIFF", "TIFF with white 0"])
def test_grey_whose_samples_use_few_bits_is_scaled_by_these(format: str, largest: int, n_bits: int) -> None:
    samples = np.linspace(0, largest, 500).astype(np.uint16).reshape(20, 25)
    if format == "PNG":
        content = cv2.imencode(".png", samples)[1].tobytes()
    else:
        photometric = "miniswhite" if "white" in format else "minisblack"
        content = _tiff(samples, photometric=photometric, byteorder=">" if "big" in format else "<")
    scaled = samples >> (n_bits - 8)
    expected = 255 - scaled if "white" in format else scaled
    np.testing.assert_array_equal(decode(content), np.dstack([expected] * 3))


def test_grey_with_alpha_of_16_bits_gives_its_high_byte_for_pillow_gives_no_more() -> None:
    row = b"".join(value.to_bytes(2, "big") + b"\xff\xff" for value in (0, 2000, 4095, 65_535))
    assert decode(png(4, 3, 16, 4, row))[0, :, 0].tolist() == [0, 7, 15, 255]


def test_black_stays_black_and_a_dark_picture_in_colour_dark() -> None:
    black = np.zeros((8, 9), dtype=np.uint16)
    assert decode(cv2.imencode(".png", black)[1].tobytes()).max() == 0
    dark = np.full((8, 9, 3), 4095, dtype=np.uint16)
    assert decode(cv2.imencode(".png", dark)[1].tobytes()).max() == 15


def _packed_12_bits(samples: np.ndarray) -> bytes:
    """A TIFF that says that its samples have 12 bits."""
    pairs = samples.reshape(-1, 2).astype(int)
    packed = np.stack((pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255), axis=1)
    height, width = samples.shape
    tags = {254: 0, 256: width, 257: height, 258: 12, 259: 1, 262: 1, 277: 1, 278: height}
    return tiff(tags, packed.astype(np.uint8).tobytes())


@pytest.mark.parametrize("largest", [4095, 1000, 200])
def test_12_bits_that_a_tiff_declares_are_12_bits(largest: int) -> None:
    samples = np.linspace(0, largest, 80).astype(np.uint16).reshape(8, 10)
    np.testing.assert_array_equal(decode(_packed_12_bits(samples))[..., 0], samples >> 4)


def test_a_transparent_grey_is_named_before_its_bits_are_taken() -> None:
    pixels = decode(png(2, 3, 16, 0, bytes([1, 2, 1, 3]), png_chunk(b"tRNS", bytes([1, 2]))))
    assert pixels[0, :, 0].tolist() == [255, 0x103 >> 2]


@pytest.mark.parametrize("dtype", [np.float32, np.uint32, np.int32, np.int16, np.int8])
def test_samples_without_an_agreed_white_are_unsupported(dtype: type) -> None:
    with pytest.raises(ImageRefused, match="have no agreed white") as raised:
        decode(_tiff(DEEP[..., 0].astype(dtype)))
    assert raised.value.status == "unsupported"
