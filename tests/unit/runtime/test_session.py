"""What each session sets for its workers: freed memory stays, seen by where glibc puts the next block."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from unittest.mock import Mock

import pytest

from popspark.runtime.errors import ConfigError
from popspark.runtime.session import ALWAYS, check_name, shuffle_partitions, spread


@pytest.mark.parametrize("path", ["/data/Größe", "file:///data/Größe", "/data/\udcc3"])
def test_a_path_that_java_cannot_name_is_refused_before_another_one_is_written(path: str) -> None:
    spark = Mock()
    ask = spark._jvm.java.lang.System.getProperty
    ask.return_value = "ANSI_X3.4-1968"
    with pytest.raises(ConfigError) as raised:
        check_name(spark, path)
    assert str(raised.value).startswith(
        f"Java cannot name this path in its locale.\n  where: {path!a}\n  got: the encoding ANSI_X3.4-1968 of names\n"
    )
    for other in ("/data/plain", "s3://bucket/Größe"):
        check_name(spark, other)
    ask.return_value = "UTF-8"
    check_name(spark, path)


@pytest.mark.parametrize(
    ("setting", "number", "of_sixteen", "of_eight"),
    [("8", 8, 16, 9), (16, 16, 17, 8), ("auto", None, 16, 8)],
    ids=["text", "number", "as Databricks has it"],
)
def test_the_number_of_tasks_may_be_auto(setting: object, number: int | None, of_sixteen: int, of_eight: int) -> None:
    rows = Mock()
    rows.sparkSession.conf.get = {"spark.sql.shuffle.partitions": setting}.get
    assert shuffle_partitions(rows.sparkSession) == number
    for wanted, given in ((16, of_sixteen), (8, of_eight)):
        spread(rows, wanted, "image_id")
        rows.repartition.assert_called_with(given, "image_id")


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
