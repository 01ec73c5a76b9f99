"""Tables in a folder: Delta, written by the tasks, made to count by one commit that needs no jar.

What a run that was killed leaves are files that no version names; `popspark compact` with vacuum takes them.
"""

from __future__ import annotations

import json
from contextlib import suppress

from fsspec.core import url_to_fs
from pyspark.sql import DataFrame, SparkSession

from popspark.runtime.errors import PathError, SchemaError
from popspark.runtime.session import check_name
from popspark.storage.delta import (
    DataFile,
    Version,
    begin_table,
    check_folder,
    check_writable,
    commit,
    end_beginning,
    is_begun,
    locate_folder,
    open_log,
    read_version,
)
from popspark.storage.files import write_files
from popspark.storage.schemas.table import Table
from popspark.storage.transaction import Transaction
from popspark.storage.warehouse import as_pattern, as_uri, read_files, read_strictly, validate

SCRATCH = "_staging-"


class FolderTransaction(Transaction):
    """Of a table by path."""

    def __init__(self, spark: SparkSession, table: Table, path: str, run_id: str | None) -> None:
        super().__init__(spark, table, path, run_id)
        check_name(spark, path)
        self._folder = locate_folder(path)
        check_folder(self._folder)
        self._base = read_version(path)
        if self._base is not None:
            check_writable(open_log(self._folder, self._base.number), self._folder)
            self._check_same(self._base)
        self._is_torn = self._base is None and is_begun(self._folder)
        """Whether files lie there of which nobody knows the names: those of a run that was killed, or that failed."""
        if self._base is None and not self._is_torn:
            _check_free(self._folder)
        self._files: list[DataFile] = []
        self._n_kept = 0
        self._clear()

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # the error that ended the block is the one to hear of
            self.unstage()
            self._clear()
            if self._base is None and not self._is_torn:
                end_beginning(self._folder)

    def read(self) -> DataFrame | None:
        if self._base is None:
            return None
        return validate(read_files(self.spark, self._base, self._base.paths()), self.table, self.path)

    def stage(self, rows: DataFrame) -> None:
        rows = validate(rows, self.table, f"rows to be written to {self.path}")
        if self.table.ordered_by:
            rows = rows.sortWithinPartitions(*self.table.partitioned_by, *self.table.ordered_by)
        if self._base is None:
            begin_table(self._folder)
        was_torn, self._is_torn = self._is_torn, True
        self._files += write_files(rows, self.table, self._folder)
        self._is_torn = was_torn

    @property
    def n_staged(self) -> int:
        return sum(file.n_rows for file in self._files)

    def staged(self) -> DataFrame:
        version = Version(self._folder, -1, self._schema, self.table.partitioned_by, tuple(self._files))
        return validate(read_files(self.spark, version, version.paths()), self.table, self.path)

    def unstage(self) -> None:
        fs, root = url_to_fs(self._folder)
        for file in self._files:
            if fs.exists(f"{root}/{file.path}"):
                fs.rm_file(f"{root}/{file.path}")
        for parent in {f"{root}/{file.path}".rpartition("/")[0] for file in self._files} - {root}:
            with suppress(OSError, NotImplementedError):  # where a folder is one, and empty
                fs.rmdir(parent)
        self._files = []

    def keep(self, rows: DataFrame) -> DataFrame:
        """Written, so that neither their inputs nor an executor's end can change them."""
        self._n_kept += 1
        path = as_uri(f"{self._folder}/{SCRATCH}{self.run_id}/{self._n_kept}")
        rows.write.mode("overwrite").parquet(path)
        return read_strictly(self.spark).schema(rows.schema).parquet(as_pattern(path))

    @property
    def _schema(self) -> str:
        return json.dumps(self.table.schema.jsonValue())

    def _check_same(self, base: Version) -> None:
        """Raises `SchemaError` for a Delta table of somebody else, or another one of ours: it is not replaced."""
        theirs = {field["name"]: field["type"] for field in json.loads(base.schema)["fields"]}
        ours = {field["name"]: field["type"] for field in self.table.schema.jsonValue()["fields"]}
        if theirs == ours and base.partitioned_by == self.table.partitioned_by:
            return
        differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        raise SchemaError(
            f"This is another table than {self.table.name}.",
            where=self.path,
            got=f"other columns: {', '.join(differing)}" if differing else f"partitioned by {base.partitioned_by}",
            legal=f"the columns of {self.table.name}, or a path where nothing is",
            fix="give another path",
        )

    def _staged_slices(self) -> set[str]:
        column = self.table.partitioned_by[0]
        return {file.slices[column] for file in self._files}

    def _commit(self, replaced: list[str] | None) -> None:
        columns, name = self.table.partitioned_by, self.table.name
        commit(self._folder, self._base, self._schema, columns, self._files, replaced, self.facts, name=name)
        self._base, self._files = read_version(self.path), []

    def _clear(self) -> None:
        """Takes away what `keep` wrote, also that of runs that were killed."""
        fs, root = url_to_fs(self._folder)
        fs.invalidate_cache(root)
        for path in fs.ls(root, detail=False) if fs.exists(root) else ():
            if path.rstrip("/").rpartition("/")[2].startswith(SCRATCH):
                fs.rm(path, recursive=True)


def _check_free(folder: str) -> None:
    """Raises `SchemaError` where files stand that are no Delta table, which a table could hide or mix with."""
    fs, root = url_to_fs(folder)
    if fs.isfile(root):
        raise PathError("A table is a folder, and this is a file.", where=folder)
    names = [path.rstrip("/").rpartition("/")[2] for path in (fs.ls(root, detail=False) if fs.exists(root) else ())]
    if found := sorted(name for name in names if not name.startswith(("_", "."))):
        raise SchemaError(
            "There are files here that are no table of this popspark.",
            where=folder,
            got=", ".join(found[:5]),
            legal="no folder, an empty one, or a Delta table",
            fix=f"popspark convert table={folder} where it is a table of Parquet, or another path",
        )
