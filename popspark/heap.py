"""What a process does with memory that it has freed."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""
KEPT_BYTES, LARGE_BYTES = 256 << 20, 32 << 20
"""Free at the heap's end before it shrinks; and of a block for which it is not used at all, the most glibc allows."""


@cache
def keep_freed_memory() -> None:
    """On an executor: memory of one batch stays with the process for the next, which needs as much again.

    By default glibc returns it and asks for the same pages anew, batch by batch: a sixth of the time of
    EfficientNet-Lite0 in a job on two cores. Another C library keeps its ways.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
