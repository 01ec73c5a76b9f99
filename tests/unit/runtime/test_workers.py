"""What a worker keeps: freed memory, seen by where glibc puts the next block, and what is in archives on its path."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes
from popspark.runtime.workers import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

class Info(ctypes.Structure):  # mallinfo2 of glibc's malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc.mallinfo2.restype = Info

def grown_by(n_bytes):
    "Of the heap, after a block of that size came and went."
    before = libc.mallinfo2().arena
    libc.free(libc.malloc(n_bytes))
    return libc.mallinfo2().arena - before

print(grown_by(20 << 20))
keep_freed_memory()
print(grown_by(20 << 20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its ways")
def test_a_freed_block_stays_in_the_heap() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before == 0
    assert after >= 10 << 20


ARCHIVES = """
import importlib, sys, zipfile
from popspark.runtime.workers import keep_archive_listings

first, second = sys.argv[1:]
keep_archive_listings()
for name, path in (("one", first), ("two", second)):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
    sys.path.append(path)
    importlib.invalidate_caches()
    importlib.import_module(name)
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(arguments[0]))
importlib.invalidate_caches()
print(first in opened, second in opened)
"""


def test_archives_are_listed_once_and_later_ones_found(tmp_path: Path) -> None:
    paths = [str(tmp_path / "first.zip"), str(tmp_path / "second.zip")]
    done = subprocess.run([sys.executable, "-c", ARCHIVES, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
