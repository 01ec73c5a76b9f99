"""What each session sets for its workers: freed memory stays, seen by where glibc puts the next block."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from popspark.runtime.session import ALWAYS

SCRIPT = """
import ctypes

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

class Info(ctypes.Structure):  # mallinfo2 of glibc's malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc.mallinfo2.restype = Info
before = libc.mallinfo2().arena
libc.free(libc.malloc(20 << 20))
print(libc.mallinfo2().arena - before)
"""


def heap_grown_by(environment: dict[str, str]) -> int:
    """Bytes of the heap, after a block of 20 MiB came and went."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its ways")
def test_a_freed_block_stays_in_the_heap() -> None:
    prefix = "spark.executorEnv."
    of_workers = {key.removeprefix(prefix): value for key, value in ALWAYS.items() if key.startswith(prefix)}
    assert heap_grown_by({}) == 0
    assert heap_grown_by(of_workers) >= 10 << 20
