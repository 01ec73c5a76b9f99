"""Files of every format, cut, spliced and altered at random: a picture or a refusal with a status, nothing else.

The bounded run is part of every test run; the long one of `make test-all`.
"""

from __future__ import annotations

import numpy as np
import pytest

from popspark.images.decode import STATUSES, ImageRefused, decode
from popspark.images.limits import Limits
from tests.encoded import one_of_each

LIMITS = Limits(max_bytes=1_000_000, max_pixels=4_000_000)
VALUES = np.array([0, 1, 0x7F, 0x80, 0xFE, 0xFF], dtype=np.uint8)  # lengths and counts at their extremes


def _mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One to eight changes; half of them in the first 200 bytes, where headers are."""
    data = np.frombuffer(content, dtype=np.uint8).copy()
    for _ in range(rng.integers(1, 9)):
        if len(data) == 0:
            break
        at = int(rng.integers(0, min(len(data), 200) if rng.random() < 0.5 else len(data)))
        length = int(rng.integers(1, 17))
        match rng.integers(0, 6):
            case 0:
                data[at] ^= np.uint8(1 << rng.integers(0, 8))
            case 1:
                data[at : at + length] = rng.integers(0, 256, len(data[at : at + length]))
            case 2:
                data[at : at + 4] = rng.choice(VALUES)
            case 3:
                data = np.delete(data, slice(at, at + length))
            case 4:
                data = np.insert(data, at, data[at : at + length])
            case _:
                data = data[: max(at, 8)] if rng.random() < 0.2 else np.roll(data, 1)
    return data.tobytes()


def _outcome(content: bytes) -> tuple[str, np.ndarray | None]:
    try:
        return "ok", decode(content, LIMITS)
    except ImageRefused as refused:
        return refused.status, None


def _fuzz(name: str, n_files: int, seed: int) -> set[str]:
    content = one_of_each()[name]
    rng = np.random.default_rng([seed, *name.encode()])
    seen = set()
    for i in range(n_files):
        status, pixels = _outcome(_mutate(content, rng))
        seen.add(status)
        if pixels is None:
            assert status in STATUSES, f"{name}, file {i}"
        else:
            assert (pixels.dtype, pixels.ndim, pixels.shape[-1]) == (np.uint8, 3, 3), f"{name}, file {i}"
            assert 0 < pixels.size <= 3 * LIMITS.max_pixels, f"{name}, file {i}"
    return seen


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # Pillow warns of what it repairs
@pytest.mark.parametrize("name", one_of_each())
def test_a_few_hundred_altered_files(name: str) -> None:
    assert len(_fuzz(name, n_files=150, seed=1)) > 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("name", one_of_each())
def test_many_altered_files(name: str) -> None:
    assert len(_fuzz(name, n_files=5000, seed=2)) > 1
