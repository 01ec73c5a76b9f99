"""Properties tried on made inputs for a time: a round in `make test`, minutes in `make test-all`.

POPSPARK_FUZZ_SECONDS=60 pytest -m slow -k fuzz    a minute a fuzzer, in place of ten
POPSPARK_FUZZ_SEED=7 pytest -k fuzz                the round that failed with this seed, and those after it
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count

from hypothesis import seed

SECONDS = float(os.environ.get("POPSPARK_FUZZ_SECONDS", "600"))
"""Of a slow fuzzer, all that it tries together."""
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
