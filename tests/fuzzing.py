"""Fuzzers: properties that Hypothesis tries on some examples in every test run, and on new ones for minutes when asked.

`make test-all` gives each of them `POPSPARK_FUZZ_SECONDS`, 600 unless it is set. An example that fails is shown at its
smallest, with what replays it; it is kept in `.hypothesis` and tried first the next time.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("POPSPARK_FUZZ_SECONDS", 600))
AT_ONCE = 300
"""Examples between two looks at the clock."""
_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


def try_some(check: Callable[..., None], n_examples: int, examples: SearchStrategy[Any], *fixtures: object) -> None:
    """`check(*fixtures, example)` on the same few examples every time."""
    settings(max_examples=n_examples, derandomize=True, database=None, **_COMMON)(given(examples)(check))(*fixtures)


def try_for_long(check: Callable[..., None], examples: SearchStrategy[Any], *fixtures: object) -> None:
    """`check(*fixtures, example)` on what failed before, then on ever new examples until the time is over."""
    ends_at, first = time.monotonic() + SECONDS, random.SystemRandom().getrandbits(32)
    n = 0
    while time.monotonic() < ends_at:
        seed(first + n)(settings(max_examples=AT_ONCE, **_COMMON)(given(examples)(check)))(*fixtures)
        n += 1
