"""How the benches take time."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from typing import Any


def timed(action: Callable[[], Any]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def best_seconds(action: Callable[[], Any], n_repeats: int = 3) -> float:
    """The shortest of some runs after one that warms up."""
    action()
    return min(timed(action) for _ in range(n_repeats))


def in_processes(function: Callable[[Any], float], shares: Sequence[Any]) -> float:
    """The slowest of the shares, each in a fresh process at the same time; `function` returns its own seconds."""
    with multiprocessing.get_context("spawn").Pool(len(shares)) as pool:
        return max(pool.map(function, shares))
