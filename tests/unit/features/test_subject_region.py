"""The subject region: the literal map, symmetries, and boxes known in closed form."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.references.subject_region import sharpness, shifted_window_sums
from popspark.features.families._subject_region import Box, region, sharp_pixels

RNG = np.random.default_rng(20260103)
UNDECIDED = 12 / 2**20  # 12 likelihoods, each rounded by at most half a step, on either side


def _half_in_focus(height: int, width: int) -> np.ndarray:
    noise = RNG.integers(0, 256, (height, width)).astype(np.uint8)
    blurred = cv2.blur(noise, (9, 9))
    blurred[:, : width // 2] = noise[:, : width // 2]
    return blurred


def _assert_agrees(grey: np.ndarray) -> None:
    expected = sharpness(grey)
    decided = np.abs(expected) > UNDECIDED
    assert decided.mean() > 0.9
    np.testing.assert_array_equal(sharp_pixels(grey)[decided], (expected > 0)[decided])


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (2, 3), (7, 5), (64, 48), (20, 90)])
def test_map_agrees_with_the_literal_version(shape: tuple[int, int]) -> None:
    _assert_agrees(_half_in_focus(*shape))


def test_map_of_photographs_agrees_with_the_literal_version(shared_data: Path) -> None:
    paths = sorted((shared_data / "photos").glob("*.jpg"))[::200]
    assert len(paths) > 1
    for path in paths:
        _assert_agrees(cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (80, 60), interpolation=cv2.INTER_AREA))


def test_the_quick_literal_window_sums_are_the_literal_ones() -> None:
    grey = _half_in_focus(25, 31)
    np.testing.assert_allclose(sharpness(grey, shifted_window_sums), sharpness(grey), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(48, 65), (96, 128)])
def test_a_mirrored_turned_or_transposed_picture_has_the_same_map(shape: tuple[int, int]) -> None:
    grey = _half_in_focus(*shape)
    sharp = sharp_pixels(grey)
    assert 0.2 < sharp.mean() < 0.8
    for change in (np.fliplr, np.flipud, np.transpose, np.rot90):
        np.testing.assert_array_equal(sharp_pixels(np.ascontiguousarray(change(grey))), change(sharp))


@pytest.mark.parametrize("shape", [(1, 1), (1, 256), (192, 256)])
def test_a_flat_picture_has_no_sharp_pixel_and_is_its_own_subject(shape: tuple[int, int]) -> None:
    sharp = sharp_pixels(np.full(shape, 120, dtype=np.uint8))
    assert not sharp.any()
    assert region(sharp) == Box(0, shape[0], 0, shape[1])


def test_a_sharp_square_on_flat_ground_is_the_subject() -> None:
    grey = np.full((192, 256), 120, dtype=np.uint8)
    grey[60:100, 150:190] = RNG.integers(0, 2, (40, 40)) * 255
    sharp = sharp_pixels(grey)
    inside = np.zeros_like(sharp)
    inside[59:101, 149:191] = True  # the windows of the pixels around the square reach into it
    assert sharp[61:99, 151:189].mean() > 0.99
    assert not sharp[~inside].any()
    top, bottom, left, right = region(sharp)
    assert (top, bottom) == pytest.approx((62, 98), abs=2)
    assert (left, right) == pytest.approx((152, 188), abs=2)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (slice(0, 100), (4, 96)),  # the fifth row from either end reaches 5 %, and is kept
        (slice(40, 60), (40, 60)),  # one row of twenty is 5 % already
        (slice(7, 8), (7, 8)),
    ],
)
def test_5_percent_are_cut_off_at_either_end(rows: slice, kept: tuple[int, int]) -> None:
    sharp = np.zeros((100, 3), dtype=bool)
    sharp[rows, 1] = True
    assert region(sharp) == Box(*kept, 1, 2)
