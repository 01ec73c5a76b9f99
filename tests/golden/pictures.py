"""Pictures that are the same on every machine: what the golden vectors are taken of."""

from __future__ import annotations

import numpy as np


def golden_pictures() -> dict[str, np.ndarray]:
    """uint8 (H, W, 3): one like a photograph (large), one tall and grey, one small."""
    rng = np.random.default_rng(4710)
    y, x = np.mgrid[0:240, 0:320]
    scene = np.stack([x * 255 // 319, y * 255 // 239, (x + y) * 255 // 558], axis=2)
    disc = (x - 110) ** 2 + (y - 80) ** 2 < 50**2
    scene[disc] = rng.integers(0, 256, (np.count_nonzero(disc), 3))
    tall = np.repeat(rng.integers(0, 256, (97, 31, 1)) * (np.arange(97) > 30)[:, None, None], 3, axis=2)
    small = rng.integers(0, 256, (7, 5, 3))
    return {name: picture.astype(np.uint8) for name, picture in (("scene", scene), ("tall", tall), ("small", small))}
