"""What a Python worker of Spark is set to, once, for all of its tasks."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache
from zipimport import zipimporter

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""
KEPT_BYTES, LARGE_BYTES = 256 << 20, 32 << 20
"""Free at the heap's end before it shrinks; and of a block for which it is not used at all, the most glibc allows."""


@cache
def prepare_worker() -> None:
    """On an executor, where a function of ours begins."""
    keep_freed_memory()
    keep_archive_listings()


def keep_freed_memory() -> None:
    """Memory of one batch stays with the process for the next, which needs as much again.

    By default glibc returns it and asks for the same pages anew, batch by batch: a sixth of the time of
    EfficientNet-Lite0 in a job on two cores. Another C library keeps its ways.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def keep_archive_listings() -> None:
    """Archives on Python's path are listed once in a process, not before each task.

    Spark before SPARK-54744 has a worker invalidate Python's caches of imports for every task, and Python before
    gh-103208 then lists anew what is in each archive: in Spark's own jar and pyspark.zip, 0.17 s a task. An archive
    that Spark ships later is another path, and is listed when it is first looked at.
    """
    zipimporter.invalidate_caches = lambda self: None  # type: ignore[method-assign]
