"""Texture: exactly scikit-image's labels, on pictures that try its rounding, its border and its ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.feature import local_binary_pattern

from popspark.features.families import lbp

RNG = np.random.default_rng(20260101)


def _expected(grey: np.ndarray) -> np.ndarray:
    return local_binary_pattern(grey, 8, 1, method="nri_uniform").astype(int)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (64, 48), (513, 7), (7, 513)])
@pytest.mark.parametrize("levels", [1, 2, 4, 256], ids="levels{}".format)
def test_labels_are_those_of_scikit_image(shape: tuple[int, int], levels: int) -> None:
    grey = (RNG.integers(0, levels, shape) * (255 // max(levels - 1, 1)) + (levels == 1) * 200).astype(np.uint8)
    np.testing.assert_array_equal(lbp.LABELS[lbp.codes(grey)], _expected(grey))


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_flat_ground_is_decided_by_the_same_rounding(value: int) -> None:
    grey = np.full((300, 300), value, dtype=np.uint8)
    np.testing.assert_array_equal(lbp.LABELS[lbp.codes(grey)], _expected(grey))


def test_labels_of_photographs(shared_data: Path) -> None:
    paths = sorted((shared_data / "photos").glob("*.jpg"))[::60]
    assert len(paths) > 1
    for path in paths:
        grey = lbp.working_grey(np.asarray(Image.open(path).convert("RGB")))
        np.testing.assert_array_equal(lbp.LABELS[lbp.codes(grey)], _expected(grey))


def test_58_uniform_codes_have_a_label_of_their_own() -> None:
    labels, counts = np.unique(lbp.LABELS, return_counts=True)
    assert labels.tolist() == list(range(59))
    assert counts.tolist() == [1] * 58 + [256 - 58]


def test_histogram_holds_shares_of_the_labels() -> None:
    image = RNG.integers(0, 256, (40, 30, 3)).astype(np.uint8)
    shares = lbp.load()([image])[0]
    expected = np.bincount(_expected(lbp.working_grey(image)).ravel(), minlength=59) / 1200
    np.testing.assert_allclose(shares, expected, rtol=1e-6)
    assert shares.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "working"),
    [((300, 400), (300, 400)), ((512, 512), (512, 512)), ((1024, 600), (512, 300)), ((1, 10_000), (1, 512))],
)
def test_only_a_picture_longer_than_the_working_size_is_reduced(
    shape: tuple[int, int], working: tuple[int, int]
) -> None:
    assert lbp.working_grey(np.zeros((*shape, 3), dtype=np.uint8)).shape == working
