"""GIST: the original's golden vector, and a literal float64 version on other pictures and sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.references import gist as literal
from popspark.features.families import gist

RNG = np.random.default_rng(20260102)
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def filters() -> list[np.ndarray]:
    return literal.create_gabor()


def _rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_originals_own_vector(shared_data: Path) -> None:
    golden = json.loads((shared_data / "gist" / "demo1.json").read_text())["gist"]
    values = gist.load()([_rgb(shared_data / "gist" / "demo1.jpg")])[0]
    np.testing.assert_allclose(values, golden, rtol=0, atol=TOLERANCE)


def test_the_literal_version_gives_the_originals_own_vector(shared_data: Path, filters: list[np.ndarray]) -> None:
    golden = json.loads((shared_data / "gist" / "demo1.json").read_text())["gist"]
    values = literal.gist(_rgb(shared_data / "gist" / "demo1.jpg"), filters)
    np.testing.assert_allclose(values, golden, rtol=0, atol=TOLERANCE)


def test_photographs_agree_with_the_literal_version(shared_data: Path, filters: list[np.ndarray]) -> None:
    images = [_rgb(path) for path in sorted((shared_data / "photos").glob("*.jpg"))[::75]]
    expected = [literal.gist(image, filters) for image in images]
    np.testing.assert_allclose(gist.load()(images), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "shape", [(256, 256), (255, 257), (700, 90), (90, 700), (31, 17), (3, 50), (50, 3), (2, 2), (600, 601)]
)
def test_odd_sizes_agree_with_the_literal_version(shape: tuple[int, int], filters: list[np.ndarray]) -> None:
    image = RNG.integers(0, 256, (*shape, 3)).astype(np.uint8)
    expected = literal.gist(image, filters)
    np.testing.assert_allclose(gist.load()([image])[0], expected, rtol=0, atol=TOLERANCE)


def test_a_grey_picture_agrees_with_the_literal_version(filters: list[np.ndarray]) -> None:
    image = np.repeat(RNG.integers(0, 256, (120, 80, 1)), 3, axis=2).astype(np.uint8)
    expected = literal.gist(image, filters)
    np.testing.assert_allclose(gist.load()([image])[0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("shape", [(1, 1), (33, 77), (256, 256), (601, 599)])
@pytest.mark.parametrize("value", [0, 93, 255])
def test_a_flat_picture_has_no_contrast(shape: tuple[int, int], value: int) -> None:
    image = np.full((*shape, 3), value, dtype=np.uint8)
    np.testing.assert_array_equal(gist.load()([image])[0], np.zeros(512))


def test_resize_agrees_with_another_antialiased_one_away_from_the_border() -> None:
    # Pillow widens the same triangle, and differs only in what lies outside of the picture.
    picture = RNG.integers(0, 256, (600, 600)).astype(np.uint8)
    pillow = Image.fromarray(picture.astype(np.float32)).resize((256, 256), Image.Resampling.BILINEAR)
    ours = gist.square_grey(np.dstack([picture] * 3))
    inside = slice(4, -4)
    np.testing.assert_allclose(ours[inside, inside], np.asarray(pillow)[inside, inside], rtol=0, atol=1e-3)


def test_a_long_strip_costs_only_its_middle() -> None:
    strip = np.zeros((1, 10_000, 3), dtype=np.uint8)
    strip[:, 4_990:5_010] = RNG.integers(0, 256, (1, 20, 3))
    changed_outside = strip.copy()
    changed_outside[:, :4_900] = 255
    np.testing.assert_array_equal(gist.load()([strip]), gist.load()([changed_outside]))


def test_horizontal_and_vertical_edges_answer_to_different_filters() -> None:
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # changes along x: frequency on the x axis, direction 1
    strength = gist.load()([stripes])[0].reshape(4, 8, 16).sum(axis=(0, 2))
    turned = gist.load()([stripes.transpose(1, 0, 2)])[0].reshape(4, 8, 16).sum(axis=(0, 2))
    assert strength.argmax() == 0
    assert turned.argmax() == 4
