"""The eleven aesthetic values: pictures whose answer is known in closed form, and what must not change or must fall."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from popspark.features.families import aesthetic
from popspark.features.families._subject_region import Box

RNG = np.random.default_rng(20260104)
CENTRE = Box(48, 144, 64, 192)  # a quarter of a picture of 192 x 256


def _values(image: np.ndarray) -> dict[str, float]:
    return dict(zip(aesthetic.LABELS, aesthetic.load()([image])[0].tolist(), strict=True))


def _flat(value: int, shape: tuple[int, ...] = (192, 256)) -> np.ndarray:
    return np.full(shape, value, dtype=np.uint8)


def _subject_at(x: float, y: float) -> np.ndarray:
    """A sharp textured square with its centre at (x, y), in shares of the sides, on flat ground."""
    image = _flat(120, (192, 256, 3))
    texture = (np.indices((40, 40)).sum(axis=0) % 3 * 120).astype(np.uint8)
    top, left = round(y * 192) - 20, round(x * 256) - 20
    image[top : top + 40, left : left + 40] = texture[..., None]
    return image


# Clarity contrast


def _wave(amplitude: float) -> np.ndarray:
    """Mean 100 and one wave of 8 periods: three frequencies, the mean's 100 and two of amplitude / 2."""
    return np.tile(np.rint(100 + amplitude * np.cos(2 * np.pi * 8 * np.arange(256) / 256)), (192, 1)).astype(np.uint8)


def test_clarity_counts_frequencies_above_a_fifth_of_the_strongest() -> None:
    right_half = Box(0, 192, 128, 256)  # whole periods, so the same three
    assert aesthetic.clarity_contrast(_wave(60), right_half) == pytest.approx((3 / 0.5) / 3)
    picture = _wave(60)
    picture[:, 128:] = _wave(30)[:, 128:]  # 15 of 100 on the right; 45 / 2 of 100 over all
    assert aesthetic.clarity_contrast(picture, right_half) == pytest.approx((1 / 0.5) / 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (1, 9), (8, 1), (9, 1), (12, 10), (13, 11), (12, 11), (13, 10)])
def test_clarity_counts_both_halves_of_the_spectrum(shape: tuple[int, int]) -> None:
    grey = RNG.integers(0, 256, shape).astype(np.uint8)
    grey[0, 0] = 255
    box = Box(0, shape[0], 0, (shape[1] + 1) // 2)
    strong = [
        np.count_nonzero(np.abs(np.fft.fft2(part)) > 0.2 * np.abs(np.fft.fft2(part)).max()) / part.size
        for part in (grey[:, : box.right], grey)
    ]
    assert aesthetic.clarity_contrast(grey, box) == pytest.approx(strong[0] / strong[1])


def test_clarity_of_black() -> None:
    assert aesthetic.clarity_contrast(_flat(0), Box(0, 192, 0, 256)) == 1
    picture = _flat(0)
    picture[:20] = 200
    assert aesthetic.clarity_contrast(picture, CENTRE) == 0


# Hue count


def _bars(hues: list[int], saturation: int = 200, value: int = 200) -> np.ndarray:
    hsv = np.zeros((10, len(hues), 3), dtype=np.uint8)
    hsv[..., 0], hsv[..., 1], hsv[..., 2] = hues, saturation, value
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


@pytest.mark.parametrize("n_hues", [1, 5, 20])
def test_hue_count_is_20_less_the_hues(n_hues: int) -> None:
    assert aesthetic.hue_count(_bars([9 * i + 4 for i in range(n_hues)])) == 20 - n_hues


def test_a_hue_counts_above_a_twentieth_of_the_fullest() -> None:
    assert aesthetic.hue_count(_bars([4] * 40 + [94] * 2)) == 19  # just a twentieth
    assert aesthetic.hue_count(_bars([4] * 40 + [94] * 3)) == 18


@pytest.mark.parametrize(
    ("saturation", "value", "expected"),
    [(52, 200, 19), (48, 200, 20), (200, 40, 19), (200, 36, 20), (200, 242, 19), (200, 246, 20)],
)
def test_only_pixels_of_good_saturation_and_value_have_a_hue(saturation: int, value: int, expected: int) -> None:
    assert aesthetic.hue_count(_bars([4], saturation, value)) == expected


def test_a_grey_picture_has_hue_count_20() -> None:
    grey = RNG.integers(0, 256, (192, 256, 1)).astype(np.uint8)
    assert _values(np.repeat(grey, 3, axis=2))["hue_count"] == 20


# Brightness contrast


@pytest.mark.parametrize(("subject", "ground"), [(200, 50), (50, 200)])
def test_brightness_contrast_is_the_logarithm_of_the_ratio(subject: int, ground: int) -> None:
    grey = _flat(ground)
    grey[CENTRE.top : CENTRE.bottom, CENTRE.left : CENTRE.right] = subject
    assert aesthetic.brightness_contrast(grey, CENTRE) == pytest.approx(np.log(4))


def test_brightness_counts_at_least_one_level() -> None:
    grey = _flat(0)
    grey[CENTRE.top : CENTRE.bottom, CENTRE.left : CENTRE.right] = 255
    assert aesthetic.brightness_contrast(grey, CENTRE) == pytest.approx(np.log(255))


def test_no_background_has_no_contrast() -> None:
    assert aesthetic.brightness_contrast(_wave(60), Box(0, 192, 0, 256)) == 0


# Entropy


@pytest.mark.parametrize(("n_levels", "bits"), [(1, 0), (2, 1), (16, 4), (256, 8)])
def test_entropy_of_levels_held_alike(n_levels: int, bits: float) -> None:
    channel = np.tile(np.arange(256) // (256 // n_levels), (192, 1)).astype(np.uint8)
    assert aesthetic.entropy(channel) == pytest.approx(bits)


def test_entropy_of_a_quarter() -> None:
    channel = _flat(10)
    channel[:48] = 20
    assert aesthetic.entropy(channel) == pytest.approx(-0.25 * np.log2(0.25) - 0.75 * np.log2(0.75))


def test_each_entropy_is_of_the_channel_it_is_named_after() -> None:
    image = RNG.integers(0, 256, (192, 256, 3)).astype(np.uint8) // np.array([1, 4, 32], dtype=np.uint8)
    values = _values(image)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    channels = {"red": image[..., 0], "green": image[..., 1], "blue": image[..., 2]}
    channels |= {"lab_l": lab[..., 0], "lab_a": lab[..., 1], "lab_b": lab[..., 2]}
    expected = {name: aesthetic.entropy(np.ascontiguousarray(channel)) for name, channel in channels.items()}
    assert {name: values[f"entropy_{name}"] for name in channels} == pytest.approx(expected)
    assert len({round(bits, 2) for bits in expected.values()}) == 6


# Composition


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [((30, 30), 0.0), ((60, 30), 0.0), ((45, 45), np.sqrt(2) / 6), ((0, 45), np.hypot(1 / 3 - 0.5 / 91, 1 / 6))],
)
def test_composition_is_the_distance_to_the_nearest_point_at_thirds(pixel: tuple[int, int], expected: float) -> None:
    sharp = np.zeros((91, 91), dtype=bool)
    sharp[pixel] = True
    at_third = abs((30 + 0.5) / 91 - 1 / 3)  # no pixel's centre is just at a third of 91
    assert aesthetic.composition(sharp) == pytest.approx(expected, abs=1.5 * at_third)


def test_composition_of_no_sharp_pixel_is_that_of_the_centre() -> None:
    assert aesthetic.composition(np.zeros((192, 256), dtype=bool)) == pytest.approx(np.sqrt(2) / 6)


def test_a_subject_moved_onto_a_point_at_thirds_lowers_composition() -> None:
    at_centre, between, at_third = (_values(_subject_at(at, at))["composition"] for at in (1 / 2, 5 / 12, 1 / 3))
    assert at_centre == pytest.approx(np.sqrt(2) / 6, abs=0.01)
    assert between == pytest.approx(np.sqrt(2) / 12, abs=0.01)
    assert at_third == pytest.approx(0, abs=0.01)


# Background simplicity


def test_background_simplicity_counts_colours_outside_of_the_subject() -> None:
    picture = _flat(0, (192, 256, 3))
    picture[: 192 // 2] = 255
    picture[CENTRE.top : CENTRE.bottom, CENTRE.left : CENTRE.right] = RNG.integers(0, 256, (96, 128, 3))
    assert aesthetic.background_simplicity(picture, CENTRE) == pytest.approx(100 * 2 / 4096)


def test_a_colour_counts_from_a_hundredth_of_the_fullest() -> None:
    picture = _flat(0, (1, 1111, 3))
    picture[0, 1000:1010] = 16  # 10 of 1,000
    picture[0, 1010:1019] = 32  # 9 of 1,000
    picture[0, 1019:] = 200  # the subject
    assert aesthetic.background_simplicity(picture, Box(0, 1, 1019, 1111)) == pytest.approx(100 * 2 / 4096)


def test_no_background_is_simple() -> None:
    assert aesthetic.background_simplicity(_flat(9, (5, 5, 3)), Box(0, 5, 0, 5)) == 0


# All together


@pytest.mark.parametrize("value", [0, 90, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (192, 256), (700, 300)])
def test_a_flat_picture(value: int, shape: tuple[int, int]) -> None:
    expected = dict.fromkeys(aesthetic.LABELS, 0.0)
    expected |= {"clarity_contrast": 1.0, "hue_count": 20.0, "composition": np.sqrt(2) / 6}
    assert _values(_flat(value, (*shape, 3))) == pytest.approx(expected)


def test_a_sharp_square_on_flat_ground() -> None:
    values = _values(_subject_at(1 / 3, 1 / 3))
    assert values["background_simplicity"] <= 100 * 4 / 4096  # the ground, and the box's own border
    assert values["hue_count"] == 20
    assert values["clarity_contrast"] > 1


def test_mirrored_photographs_have_the_same_values(shared_data: Path) -> None:
    paths = sorted((shared_data / "photos").glob("*.jpg"))[::100]
    assert len(paths) > 1
    for path in paths:
        picture = aesthetic.working_image(cv2.imread(str(path))[..., ::-1])
        mirrored = _values(np.ascontiguousarray(picture[:, ::-1]))
        assert mirrored == pytest.approx(_values(picture), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "working"),
    [((1, 1), (256, 256)), ((30, 60), (128, 256)), ((3000, 4000), (192, 256)), ((10_000, 1), (256, 1))],
)
def test_the_long_side_is_fixed(shape: tuple[int, int], working: tuple[int, int]) -> None:
    assert aesthetic.working_image(_flat(0, (*shape, 3))).shape == (*working, 3)
