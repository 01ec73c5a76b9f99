"""Tables whose rows are the same posts in the same order, read side by side: no join, no shuffle.

A first job counts the rows of every file (`popspark.ingest.readers.row_files`). In the second each task takes
ranges of row
numbers and reads that range from all the tables. The text of the rows is read again where it is asked for, as it is
for rejects: as a column of a UDF it costs nothing where nobody selects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql.pandas.functions import pandas_udf

from popspark.ingest.readers.chunks import LooseRows, Part, Wanted, read_chunk, read_loose_rows, read_texts
from popspark.ingest.readers.row_files import HEAD_BYTES, RowFile, count_blocks, find_separator, read_bytes

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 17
N_BLOCKS = 128
"""Read at once while counting."""
CHUNK_BYTES = 8 << 20
"""Of all the tables together, read at once while parsing."""
TASK_BYTES = 128 << 20
"""Of a large export. A smaller one is cut into up to `N_TASKS`, of an eighth of it at least."""
N_TASKS = 8
LOOSE_ROWS = 10_000
"""Without a post, read at once."""
COUNTED = "file string, start bigint, separator binary, counts array<bigint>, n_written bigint"
LOOSE = "file string, line bigint, raw string, reason string"


def index_files(spark: SparkSession, arrays: Mapping[str, int], lists: Mapping[str, int]) -> dict[str, RowFile]:
    """By path, the files that can be read by row numbers: all lists, and of the arrays those with separators.

    arrays, lists: their sizes in bytes by path.
    """
    block_bytes, step = BLOCK_BYTES, BLOCK_BYTES * N_BLOCKS
    sizes = {**arrays, **lists}
    ranges = [(path, start, min(start + step, n)) for path, n in sizes.items() for start in range(0, n, step)]

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # runs on executors
        import pyarrow as pa

        for batch in batches:
            for place in batch.column(0).to_pylist():
                path, start, end = ranges[place]
                separator = b"\n" if path in lists else find_separator(read_bytes(path, 0, HEAD_BYTES))
                found = count_blocks(path, start, end, separator, block_bytes) if separator else ([], None)
                names = [field.split()[0] for field in COUNTED.split(", ")]
                values = [path, start, separator, *found]
                types = [pa.string(), pa.int64(), pa.binary(), pa.list_(pa.int64()), pa.int64()]
                columns = [pa.array([value], kind) for value, kind in zip(values, types, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, names)

    found = _over(spark, len(ranges), sum(sizes.values())).mapInArrow(count, COUNTED).collect() if ranges else []
    by_file: dict[str, list[Row]] = {path: [] for path in lists}
    for row in sorted(found, key=lambda row: row.start):
        if row.separator is not None:
            by_file.setdefault(row.file, []).append(row)
    return {path: _assemble(path, sizes[path], path in arrays, rows, block_bytes) for path, rows in by_file.items()}


def _assemble(path: str, n_bytes: int, is_array: bool, counted: Sequence[Row], block_bytes: int) -> RowFile:
    """The ranges of a file, in order. What stands behind an array's last separator is a row; empty lines are none."""
    before, n_rows = [0], 0
    for row in counted:
        if row.n_written is not None:
            n_rows = before[-1] + row.n_written + 1
        for n in row.counts:
            before.append(before[-1] + n)
    if is_array:
        n_rows = before[-1] + 1
    separator = bytes(counted[0].separator) if counted else b"\n"
    return RowFile(path, n_bytes, separator, n_rows, block_bytes, tuple(before[:-1]))


def _over(spark: SparkSession, n: int, n_bytes: int) -> DataFrame:
    """The numbers below n, which stand for `n_bytes` together, cut into tasks."""
    n_tasks = max(n_bytes // TASK_BYTES, min(N_TASKS, N_TASKS * n_bytes // TASK_BYTES), 1)
    return spark.range(0, n, 1, min(n_tasks, max(n, 1)))


def side_by_side(name: str, arrays: dict[str, RowFile], lists: dict[str, RowFile], n_rows: int) -> Part:
    """The first `n_rows` rows of the tables, in chunks of about `CHUNK_BYTES`."""
    n_bytes = sum(file.n_bytes for file in [*arrays.values(), *lists.values()])
    return Part(name, arrays, lists, n_rows, max(1, CHUNK_BYTES * n_rows // max(n_bytes, 1)))


class Chunk(NamedTuple):
    """The rows of a part from `first`, counted from 0, up to `last`: what is read at once."""

    part: Part
    first: int
    last: int

    def read(self, wanted: Wanted) -> pa.RecordBatch:
        return read_chunk(self.part, self.first, self.last, wanted)


def cut(parts: Sequence[Part]) -> list[Chunk]:
    """All their chunks."""
    return [
        Chunk(part, first, min(first + part.chunk_rows, part.n_rows))
        for part in parts
        for first in range(0, part.n_rows, part.chunk_rows)
    ]


def read_chunks(spark: SparkSession, chunks: Sequence[Chunk], wanted: Wanted) -> DataFrame:
    """The columns of `popspark.ingest.readers.chunks.read_chunk`, of all rows of all chunks."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # runs on executors
        for batch in batches:
            for place in batch.column(0).to_pylist():
                yield chunks[place].read(wanted)

    schema = ", ".join(f"{name} {kind}" for name, kind in wanted.columns.items())
    return _over(spark, len(chunks), len(chunks) * CHUNK_BYTES).mapInArrow(read, schema)


class Plain(NamedTuple):
    """files: of posts, with names that do not count yet. left: the chunks that are not plain."""

    files: list[str]
    n_posts: int
    left: list[Chunk]


def write_plain_posts(
    spark: SparkSession, chunks: Sequence[Chunk], wanted: Wanted, known: Mapping[str, Any], folder: str
) -> Plain:
    """Writes the posts of plain chunks into a folder that driver and workers see alike, see
    `popspark.ingest.readers.plain_posts`.
    """

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # runs on executors
        import pyarrow as pa

        from popspark.ingest.readers.plain_posts import write_plain

        places = [place for batch in batches for place in batch.column(0).to_pylist()]
        if places:
            found = write_plain(((place, partial(chunks[place].read, wanted)) for place in places), known, folder)
            columns = zip(*found, strict=True)
            types = [pa.int64(), pa.string(), pa.int64()]
            arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, ["chunk", "file", "n"])

    tasks = _over(spark, len(chunks), len(chunks) * CHUNK_BYTES)
    rows = tasks.mapInArrow(write, "chunk bigint, file string, n bigint").collect()
    files = sorted({row["file"] for row in rows if row["file"]})
    left = sorted(row["chunk"] for row in rows if not row["file"])
    return Plain(files, sum(row["n"] for row in rows), [chunks[place] for place in left])


def raw_text(parts: Sequence[Part]) -> Column:
    """The rows of all the tables at (part, place) as they stand in the files, below each other.

    Rows are asked for in their order, so one chunk is held at a time.
    """
    by_name = {part.name: part for part in parts}

    def read(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:  # runs on executors
        held, texts = ("", 0), list[str]()
        for names, places in batches:
            found = []
            for name, place in zip(names, places, strict=True):
                part = by_name[name]
                first = (place - 1) // part.chunk_rows * part.chunk_rows
                if held != (name, first) or not texts:
                    held, texts = (name, first), read_texts(part, first, min(first + part.chunk_rows, part.n_rows))
                found.append(texts[place - 1 - first])
            yield pd.Series(found, dtype=object)

    return pandas_udf(read, "string")("part", "place")  # type: ignore[call-overload]


def read_loose(spark: SparkSession, loose: Sequence[LooseRows]) -> DataFrame:
    """file, line, raw and reason of rows without a post."""
    pieces = [
        replace(one, first=first, last=min(first + LOOSE_ROWS, one.last))
        for one in loose
        for first in range(one.first, one.last, LOOSE_ROWS)
    ]

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # runs on executors
        for batch in batches:
            for place in batch.column(0).to_pylist():
                yield read_loose_rows(pieces[place])

    return spark.range(0, len(pieces), 1, 1 + len(pieces) // 8).mapInArrow(read, LOOSE)
