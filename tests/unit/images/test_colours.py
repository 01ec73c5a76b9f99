"""Embedded colour profiles: what they make of pixels, against closed forms, and which of them are ignored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from bench.references import profiles
from popspark.images import colours
from popspark.images.decode import HeifImageFile, decode
from tests.encoded import encode, picture

RNG = np.random.default_rng(20261126)
LEVELS = np.arange(256, dtype=np.uint8)
COLOURS = RNG.integers(0, 256, (40, 60, 3)).astype(np.uint8)
ADOBE = profiles.rgb()


def _in_srgb(samples: np.ndarray, gamma: float = 2.2) -> np.ndarray:
    return profiles.xyz_to_srgb((samples / 255) ** gamma @ profiles.ADOBE.T)


# What is applied


def test_rgb_against_its_definition() -> None:
    pixels = decode(encode(COLOURS, "PNG", icc_profile=ADOBE))
    assert np.abs(pixels - _in_srgb(COLOURS)).max() <= 1.5
    assert np.abs(pixels.astype(int) - COLOURS).max() > 60


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
def test_grey_against_its_definition(gamma: float) -> None:
    pixels = decode(encode(LEVELS[None], "PNG", icc_profile=profiles.grey(gamma)))
    expected = profiles.xyz_to_srgb(((LEVELS / 255) ** gamma)[:, None] * profiles.D50)
    assert np.abs(pixels[0] - expected).max() <= 1.5
    assert (np.ptp(pixels, axis=2) == 0).all()


@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
@pytest.mark.parametrize("inks", list(np.ndindex(2, 2, 2, 2)))
def test_cmyk_against_its_table(inks: tuple[int, ...], format: str) -> None:
    image = Image.new("CMYK", (8, 8), tuple(255 * ink for ink in inks))
    options = {"quality": 100} if format == "JPEG" else {}
    pixels = decode(encode(image, format, icc_profile=profiles.cmyk(profiles.INKS), **options))
    expected = profiles.xyz_to_srgb(profiles.lab_to_xyz(profiles.INKS[inks]))
    assert np.abs(pixels[4, 4] - expected).max() <= 4  # its Lab has steps of 1
    if any(inks[:3]) and not inks[3]:
        assert np.abs(pixels[4, 4] - 255 * (1 - np.array(inks[:3]))).max() > 20


def test_lab() -> None:
    image = Image.new("LAB", (8, 8), (140, 150, 90))
    plain, profiled = (decode(encode(image, "TIFF", **options)) for options in ({}, {"icc_profile": profiles.lab()}))
    assert np.abs(plain.astype(int) - profiled).max() <= 1


@pytest.mark.parametrize("format", ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_every_format_that_holds_a_profile(format: str) -> None:
    smooth = Image.fromarray(picture())
    if format == "HEIC":
        if HeifImageFile is None:
            pytest.skip("pillow-heif is not installed")
        buffer = BytesIO()
        import_module("pillow_heif").from_pillow(smooth).save(buffer, quality=95, icc_profile=ADOBE)
        content = buffer.getvalue()
    else:
        if format == "AVIF" and not features.check("avif"):
            pytest.skip("this Pillow was built without AVIF")
        options = {} if format in ("PNG", "TIFF") else {"quality": 95}
        content = encode(smooth, format, icc_profile=ADOBE, **options)
    assert np.abs(decode(content) - _in_srgb(picture())).mean() < 8
    assert np.abs(decode(content).astype(int) - picture()).mean() > 10


def test_a_reduced_jpeg_and_a_turned_one() -> None:
    image, turn = Image.new("RGB", (1200, 1100), (60, 160, 90)), Image.Exif()
    turn[274] = 6
    pixels = decode(encode(image, "JPEG", icc_profile=ADOBE, exif=turn, quality=95))
    assert pixels.shape == (600, 550, 3)
    assert np.abs(pixels - _in_srgb(np.array((60, 160, 90)))).max() <= 4


# Transparency, palettes, depth


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_colours_are_converted_before_they_are_composed_on_white(format: str) -> None:
    image = Image.new("RGBA", (8, 8), (60, 160, 90, 128))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = decode(encode(image, format, icc_profile=ADOBE, **options))
    assert np.abs(pixels[0, 0] - (_in_srgb(np.array((60, 160, 90))) * 128 + 255 * 127) / 255).max() <= 1.5


def test_grey_with_alpha() -> None:
    pixels = decode(encode(Image.new("LA", (8, 8), (64, 128)), "PNG", icc_profile=profiles.grey(1.0)))
    opaque = profiles.xyz_to_srgb(64 / 255 * profiles.D50)
    assert np.abs(pixels[0, 0] - (opaque * 128 + 255 * 127) / 255).max() <= 1.5


def test_a_transparent_colour_is_named_before_the_conversion() -> None:
    samples = np.array([[[60, 160, 90], [60, 160, 91]]], dtype=np.uint8)
    pixels = decode(encode(samples, "PNG", icc_profile=ADOBE, transparency=(60, 160, 90)))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert np.abs(pixels[0, 1] - _in_srgb(samples[0, 1])).max() <= 1.5


def test_a_palette_has_the_profile_s_colours() -> None:
    image = Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).convert("P")
    image.putpalette([60, 160, 90])
    assert (
        np.abs(decode(encode(image, "PNG", icc_profile=ADOBE))[0, 0] - _in_srgb(np.array((60, 160, 90)))).max() <= 1.5
    )


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_deep_grey_is_converted_too(format: str) -> None:
    samples = (LEVELS.astype(np.uint16) << 8)[None]
    pixels = decode(encode(Image.fromarray(samples), format, icc_profile=profiles.grey(1.0)))
    assert np.abs(pixels[0] - profiles.xyz_to_srgb((LEVELS / 255)[:, None] * profiles.D50)).max() <= 1.5


# What is left as it is


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_of_srgb_changes_nothing(format: str) -> None:
    plain, profiled = (encode(picture(), format, **more) for more in ({}, {"icc_profile": profiles.srgb()}))
    np.testing.assert_array_equal(decode(profiled), decode(plain))


def test_a_profile_with_the_primaries_of_srgb_is_not_yet_srgb() -> None:
    pixels = decode(encode(COLOURS, "PNG", icc_profile=profiles.rgb(profiles.SRGB, 2.2)))
    assert 2 < np.abs(pixels.astype(int) - COLOURS).max() < 15


def test_what_is_srgb_costs_no_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(COLOURS, "PNG", icc_profile=profiles.srgb())
    decode(content)
    monkeypatch.setattr(colours.ImageCms.ImageCmsTransform, "apply", lambda *_: pytest.fail("it was converted"))
    np.testing.assert_array_equal(decode(content), COLOURS)


LINK = ADOBE[:12] + b"link" + ADOBE[16:]
IGNORED = {
    "grey, for colours": profiles.grey(1.0),
    "CMYK, for colours": profiles.cmyk(profiles.INKS),
    "Lab, for colours": profiles.lab(),
    "no profile": b"this is no profile",
    "an empty one": b"\0" * 128,
    "a header alone": ADOBE[:128],
    "a link of devices": LINK,
    "without curves": profiles.profile(b"RGB ", {}),
    "too large": ADOBE.ljust(colours.MAX_BYTES + 1, b"\0"),
}


@pytest.mark.parametrize("profile", IGNORED.values(), ids=IGNORED.keys())
def test_a_profile_that_cannot_be_used_is_ignored(profile: bytes) -> None:
    np.testing.assert_array_equal(decode(encode(COLOURS, "TIFF", icc_profile=profile)), COLOURS)


def test_a_profile_of_colours_is_ignored_for_grey_and_inks() -> None:
    np.testing.assert_array_equal(decode(encode(LEVELS[None], "PNG", icc_profile=ADOBE))[0, :, 0], LEVELS)
    inks = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert decode(encode(inks, "TIFF", icc_profile=ADOBE))[0, 0].tolist() == [255, 0, 0]


def test_a_profile_cut_anywhere_is_a_profile_or_ignored() -> None:
    expected = _in_srgb(COLOURS)
    for n in range(0, len(ADOBE), 7):
        pixels = decode(encode(COLOURS, "TIFF", icc_profile=ADOBE[:n] or b"\0"))
        is_applied = np.abs(pixels - expected).max() <= 1.5
        assert is_applied or np.array_equal(pixels, COLOURS)


def test_threads_share_a_transform() -> None:
    images = RNG.integers(0, 256, (4, 200, 300, 3)).astype(np.uint8)
    contents = [encode(image, "PNG", icc_profile=ADOBE) for image in images]
    alone = [decode(content) for content in contents]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(decode, contents * 20), alone * 20, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_real_photographs(shared_data: Path) -> None:
    """Of those that carry a profile, the ones of sRGB stay as they were; each of another kind moves."""
    n_moved = n_same = 0
    for path in sorted((shared_data / "photos").iterdir()):
        content = path.read_bytes()
        image = Image.open(BytesIO(content))
        if profile := image.info.get("icc_profile"):
            moved = int(np.abs(decode(content).astype(int) - np.asarray(image.convert("RGB"))).max())
            assert moved == 0 or moved > 1 or b"sRGB" not in profile, path
            n_moved, n_same = n_moved + (moved > 2), n_same + (moved == 0)
    assert (n_moved, n_same) == (79, 228)
