"""A table in a folder without Spark: small ones, as runs, whole; examples, by their files."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.dataset as ds

from popspark.runtime.errors import PathError
from popspark.storage.delta import is_begun, locate_folder, read_version


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
