"""The colour histogram: pictures whose bins are known."""

from __future__ import annotations

import numpy as np
import pytest

from popspark.features.families import color


@pytest.mark.parametrize(
    ("rgb", "index"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 1),  # no saturation, full value
        ((255, 0, 0), 3),  # hue 0
        ((0, 255, 0), 4 * (8 * 60 // 180) + 3),  # hue 60 of 180
        ((0, 0, 255), 4 * (8 * 120 // 180) + 3),  # hue 120 of 180
        ((100, 0, 0), 2),  # saturated, dark
    ],
)
def test_one_colour_fills_one_bin(rgb: tuple[int, int, int], index: int) -> None:
    image = np.full((5, 7, 3), rgb, dtype=np.uint8)
    shares = color.load()([image])[0]
    assert shares[index] == 1
    assert np.count_nonzero(shares) == 1


def test_shares_of_three_colours() -> None:
    image = np.zeros((10, 10, 3), dtype=np.uint8)
    image[:, :2] = (255, 0, 0)
    image[:, 2:5] = (255, 255, 255)
    shares = color.load()([image])[0]
    assert shares[[3, 1, 0]].tolist() == pytest.approx([0.2, 0.3, 0.5])
    assert shares.sum() == pytest.approx(1)
