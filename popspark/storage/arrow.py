"""A table in a folder without Spark: small ones, as runs, whole; examples, by their files."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from popspark.runtime.errors import LockError, PathError
from popspark.storage.delta import (
    DataFile,
    begin_table,
    check_folder,
    commit,
    is_begun,
    locate_folder,
    read_version,
)

N_TRIES = 20
"""To write a row while others write theirs."""


def open_dataset(path: str) -> ds.Dataset:
    """The newest version of a Delta table, or a folder of Parquet; raises `PathError` where neither is."""
    version, folder = read_version(path), locate_folder(path)
    if version is None and is_begun(folder):
        raise PathError("There is no table yet.", where=path)
    if version is None:
        try:
            return ds.dataset(folder, format="parquet", partitioning="hive")
        except FileNotFoundError as error:
            raise PathError("There is no table.", where=path) from error
    if not version.files:
        from deltalake import Schema

        columns = pa.schema(Schema.from_json(version.schema).to_arrow())
        return ds.dataset(columns.empty_table())
    slices = pa.schema([(name, pa.string()) for name in version.partitioned_by])
    return ds.dataset(
        version.paths(),
        format="parquet",
        partitioning=ds.partitioning(slices, flavor="hive"),
        partition_base_dir=folder,
    )


def read_arrow(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of `open_dataset`, in memory."""
    return open_dataset(path).to_table(columns=None if columns is None else list(columns))


def write_row(path: str, row: pa.Table, schema: str, name: str, key: str) -> None:
    """One row of a small table, which is written whole, in the place of the row with its key; made if need be.

    schema: as `commit` takes it. Rows that others write meanwhile stay.
    """
    folder, value = locate_folder(path), row.column(key)[0]
    check_folder(folder)
    fs, root = url_to_fs(folder)
    for n_left in reversed(range(N_TRIES)):
        base = read_version(path)
        rows = row
        if base is not None:
            others = read_arrow(path).cast(row.schema)
            rows = pa.concat_tables([others.filter(pc.not_equal(others.column(key), value)), row])
        content, file = pa.BufferOutputStream(), f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows, content, compression="zstd")
        fs.makedirs(root, exist_ok=True)
        if base is None:
            begin_table(folder)
        fs.pipe_file(f"{root}/{file}", content.getvalue().to_pybytes())
        try:
            found = DataFile(file, len(content.getvalue()), rows.num_rows)
            commit(folder, base, schema, (), [found], None, {key: str(value)}, name=name)
            return
        except LockError:
            fs.rm_file(f"{root}/{file}")
            if not n_left:
                raise
            time.sleep(random.uniform(0, 0.2))
