"""Fuzzers: properties that Hypothesis tries on made inputs, one round in `make test` and minutes in `make test-all`.

    POPSPARK_FUZZ_SECONDS=60 pytest -m slow -k fuzz    a minute a fuzzer, in place of ten
    POPSPARK_FUZZ_SEED=7 pytest -k fuzz                the round that failed with this seed, and those after it

An example that fails is shown at its smallest, with what replays it; it is kept in `.hypothesis` and tried first the
next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("POPSPARK_FUZZ_SECONDS", "600"))
"""Of a slow fuzzer, all that it tries together."""
AT_ONCE = 300
"""Examples between two looks at the clock."""
_SEED = os.environ.get("POPSPARK_FUZZ_SEED")


def run_rounds(check: Callable[[], None], seconds: float = 0.0) -> None:
    """Runs a property of Hypothesis with one seed after the other until the time is over, and once at least.

    A failure names its seed. Without seconds the first seed is always the same.
    """
    first = int(_SEED) if _SEED else (time.time_ns() % 10**9 if seconds else 1)
    end = time.monotonic() + seconds
    for number in count(first):
        try:
            seed(number)(check)()
        except BaseException as error:
            error.add_note(f"POPSPARK_FUZZ_SEED={number} tries this again")
            raise
        if time.monotonic() >= end:
            return


def try_some(check: Callable[..., None], n_examples: int, examples: SearchStrategy[Any], *fixtures: object) -> None:
    """`check(*fixtures, example)` on the same few examples every time."""
    run_rounds(_property(check, n_examples, examples, fixtures))


def try_for_long(check: Callable[..., None], examples: SearchStrategy[Any], *fixtures: object) -> None:
    """`check(*fixtures, example)` on what failed before, then on ever new examples until the time is over."""
    run_rounds(_property(check, AT_ONCE, examples, fixtures), SECONDS)


def _property(
    check: Callable[..., None], n_examples: int, examples: SearchStrategy[Any], fixtures: tuple[object, ...]
) -> Callable[[], None]:
    def holds(example: Any) -> None:
        check(*fixtures, example)

    wanted = settings(max_examples=n_examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    holds.__qualname__ = check.__qualname__  # under which examples are kept
    return wanted(given(examples)(holds))
