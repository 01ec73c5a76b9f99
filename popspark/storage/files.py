"""Parquet files of a table, written by the tasks that make the rows; nothing counts before the table's log names it.

A task writes one file for each slice that it has rows of, under one name that no other task has. A task that is tried
again writes other names, so the files of the attempt that failed are never named in a log.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from popspark.runtime.errors import AccountingError, SchemaError
from popspark.storage.delta import DataFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from popspark.storage.schemas.table import Table

BUFFERED_BYTES = 256 << 20
"""Of all slices of a task, at most, before the largest is written."""
WRITTEN = "path string, n_bytes bigint, n_rows bigint"
_SLICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def write_files(rows: DataFrame, table: Table, folder: str) -> list[DataFile]:
    """Writes rows of the table into its folder, and checks that the driver sees each file as it was written.

    Raises `SchemaError` for a null where the table has none, or a slice that cannot be the name of a folder, and
    `AccountingError` where a file is not there.
    """
    schema, sliced_by = table.arrow_schema, table.partitioned_by
    never_null, row_group_bytes = (*table.key, *table.required), table.row_group_bytes

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """On executors."""
        task = _Task(folder, schema, sliced_by, row_group_bytes)
        for batch in batches:
            cast = pa.Table.from_batches([batch]).cast(schema)
            if nulls := [name for name in never_null if cast.column(name).null_count]:
                raise SchemaError(f"A row has no {', '.join(nulls)}.", where=folder, legal="never null")
            task.add(cast)
        yield pa.RecordBatch.from_pylist([file.__dict__ for file in task.finish()], _WRITTEN)

    files = [DataFile(row.path, row.n_bytes, row.n_rows) for row in rows.mapInArrow(write, WRITTEN).collect()]
    check_there(files, folder)
    return files


_WRITTEN = pa.schema([("path", pa.string()), ("n_bytes", pa.int64()), ("n_rows", pa.int64())])


def check_there(files: Iterable[DataFile], folder: str) -> None:
    """Raises `AccountingError` where the driver does not find a file as it was written: disks are local."""
    fs, root = url_to_fs(folder)
    for file in files:
        path = f"{root}/{file.path}"
        found = fs.info(path)["size"] if fs.exists(path) else None
        if found != file.n_bytes:
            raise AccountingError(
                "A file that an executor wrote is not what the driver sees.",
                where=f"{folder}/{file.path}",
                got="no file" if found is None else f"{found:,} bytes",
                legal=f"{file.n_bytes:,} bytes",
                fix="give a path that driver and executors see alike, with its scheme",
            )


class _Task:
    """What a task holds of each slice until a row group is full; on executors."""

    def __init__(self, folder: str, schema: pa.Schema, sliced_by: tuple[str, ...], row_group_bytes: int) -> None:
        self._fs, self._root = url_to_fs(folder)
        self._folder, self._sliced_by, self._row_group_bytes = folder, sliced_by, row_group_bytes
        self._schema = pa.schema([column for column in schema if column.name not in sliced_by])
        # Spark takes NaN for the greatest number where pyarrow's statistics leave it out: rows would be lost.
        self._with_statistics = [column.name for column in self._schema if not pa.types.is_floating(column.type)]
        self._name = f"{uuid.uuid4().hex}.parquet"
        self._held: dict[str, list[pa.Table]] = defaultdict(list)
        self._n_held: dict[str, int] = defaultdict(int)
        self._open: dict[str, tuple[Any, pq.ParquetWriter]] = {}
        self._n_rows: dict[str, int] = defaultdict(int)

    def add(self, rows: pa.Table) -> None:
        for slice_name, own in _split(rows, self._sliced_by, self._folder):
            self._held[slice_name].append(own)
            self._n_held[slice_name] += own.nbytes
            if self._n_held[slice_name] >= self._row_group_bytes:
                self._write(slice_name)
        while sum(self._n_held.values()) > BUFFERED_BYTES:
            self._write(max(self._n_held, key=lambda name: self._n_held[name]))

    def _write(self, slice_name: str) -> None:
        rows = pa.concat_tables(self._held.pop(slice_name)).combine_chunks()
        self._n_held.pop(slice_name)
        if slice_name not in self._open:
            path = f"{self._root}/{slice_name}{self._name}"
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            stream = self._fs.open(path, "wb")
            writer = pq.ParquetWriter(
                stream, self._schema, compression="zstd", write_statistics=self._with_statistics, version="2.6"
            )
            self._open[slice_name] = stream, writer
        n_groups = -(-rows.nbytes // (self._row_group_bytes * 3 // 2))
        self._open[slice_name][1].write_table(rows, row_group_size=-(-rows.num_rows // max(n_groups, 1)))
        self._n_rows[slice_name] += rows.num_rows

    def finish(self) -> Iterator[DataFile]:
        for slice_name in list(self._held):
            self._write(slice_name)
        for slice_name, (stream, writer) in self._open.items():
            writer.close()
            stream.close()
            path = f"{slice_name}{self._name}"
            yield DataFile(path, self._fs.info(f"{self._root}/{path}")["size"], self._n_rows[slice_name])


def _split(rows: pa.Table, sliced_by: tuple[str, ...], folder: str) -> Iterator[tuple[str, pa.Table]]:
    """By slice: its folders (`split=train/`), and its rows without the columns that these name."""
    if not sliced_by:
        if rows.num_rows:
            yield "", rows
        return
    for found in rows.group_by(list(sliced_by)).aggregate([]).to_pylist():
        own = rows.filter(_is_slice(rows, found)).drop_columns(list(sliced_by))
        for name, value in found.items():
            if value is None or not _SLICE.fullmatch(str(value)):
                what = f"This value of {name} cannot name a folder."
                raise SchemaError(what, where=folder, got=value, legal="letters and digits, with - and _ between")
        yield "".join(f"{name}={value}/" for name, value in found.items()), own


def _is_slice(rows: pa.Table, values: Mapping[str, Any]) -> pa.ChunkedArray:
    first, *others = (pc.equal(rows.column(name), value) for name, value in values.items())
    for other in others:
        first = pc.and_(first, other)
    return first
