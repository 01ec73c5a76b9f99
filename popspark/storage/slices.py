"""A sliced table as its writer sees it: read, stage, count, replace. Parquet in a folder, catalog tables, Delta.

| where | how slices are replaced | a reader sees |
|---|---|---|
| a folder of Parquet | `popspark.storage.publishing`: one rename a slice, behind a journal | see there |
| `table:NAME`, Parquet | the same in the table's folder, then the catalog's partitions follow | the same |
| `table:NAME` or a folder, Delta | one `replaceWhere` from the staged files | the old table or the new one |

The Delta branch needs a session with Delta Lake, which popspark's own tests do not have: it is not exercised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from fsspec.core import url_to_fs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from popspark.runtime.errors import AccountingError, LockError
from popspark.storage.locking import TableLock
from popspark.storage.places import Place, locate
from popspark.storage.publishing import count_rows, list_slices, publish, recover, staging_folder
from popspark.storage.schemas.table import Table
from popspark.storage.warehouse import find_table, validate


class Slices:
    """One run's hold on a sliced table. scratch: a folder for what this run writes on its way; it ends with the run."""

    def __init__(
        self, spark: SparkSession, table: Table, path: str, place: Place, run_id: str, lock: TableLock
    ) -> None:
        self.spark, self.table, self.run_id, self.lock = spark, table, run_id, lock
        self._path, self._place = path, place
        self._folder = str(place.folder)
        self.scratch = staging_folder(self._folder, run_id)
        self._staged = f"{self.scratch}/slices"

    @property
    def column(self) -> str:
        """The one that slices are named after."""
        return self.table.partitioned_by[0]

    def read(self) -> DataFrame | None:
        """The table as it stands, None where it does not exist."""
        if not self._place.name and not self._place.is_delta and not list_slices(self._folder):
            return None  # also where a table of an older layout, without slices, stands
        return find_table(self.spark, self.table, self._path)

    def stage(self, rows: DataFrame) -> None:
        """Writes rows, those of a slice into one file; nothing of the table changes."""
        writer = validate(rows, self.table, f"rows to be written to {self._path}").write.mode("overwrite")
        writer.partitionBy(self.column).parquet(self._staged)

    def staged(self) -> DataFrame:
        """What `stage` wrote."""
        if not list_slices(self._staged):
            return self.spark.createDataFrame([], self.table.schema)
        return validate(self.spark.read.parquet(self._staged), self.table, self._staged)

    def publish(self, n_rows: int, removed: Iterable[str] | None) -> None:
        """Makes the staged slices the table's, and removes others. From here on the table is the new one.

        n_rows: that must have been staged; raises `AccountingError` where the files hold another number.
        removed: values of slices, as far as nothing was staged for them; None for all, whatever stands in the folder.
        """
        n_staged = count_rows(self._staged)
        if n_staged != n_rows:
            raise AccountingError(
                "The files written do not hold the rows that were counted.",
                where=self._staged,
                got=f"{n_staged:,} rows",
                legal=f"{n_rows:,} rows",
                fix="give a path that driver and executors see alike, with its scheme",
            )
        if self._place.is_delta:
            self._replace_where(removed)
            return
        gone = self._everything() if removed is None else [f"{self.column}={value}" for value in removed]
        if not list_slices(self._staged) and not set(list_slices(self._folder)) - set(gone):
            self._stage_empty()
        publish(self._folder, self._staged, self.run_id, gone, self.lock)
        if self._place.name:
            self._synchronise(self._place.name)

    def _stage_empty(self) -> None:
        """A table without rows is one slice without rows, so that its columns can be read."""
        empty = self.spark.createDataFrame([], self.table.schema).drop(self.column).coalesce(1)
        empty.write.mode("overwrite").parquet(f"{self._staged}/{self.column}=unknown")

    def _everything(self) -> list[str]:
        """All that stands in the folder and is part of a table, in this layout or another; other files stay."""
        fs, root = url_to_fs(self._folder)
        names = (path.rstrip("/").rpartition("/")[2] for path in fs.ls(root, detail=False))
        kept = ("_staging", "_publish", "_lock")
        return [
            n for n in names if not n.startswith(kept) and ("=" in n or n.endswith((".parquet", ".crc", "_SUCCESS")))
        ]

    def _synchronise(self, name: str) -> None:
        self.spark.sql("MSCK REPAIR TABLE IDENTIFIER(:name) SYNC PARTITIONS", args={"name": name})
        self.spark.sql("REFRESH TABLE IDENTIFIER(:name)", args={"name": name})

    def _replace_where(self, removed: Iterable[str] | None) -> None:
        """Delta: one commit. Not exercised."""
        values = {name.partition("=")[2] for name in list_slices(self._staged)} | set(removed or ())
        self.lock.check()
        writer = self.staged().write.format("delta").mode("overwrite").partitionBy(self.column)
        if removed is not None:
            listed = ", ".join(f"'{value}'" for value in sorted(values))
            writer = writer.option("replaceWhere", f"{self.column} IN ({listed})")
        if self._place.name:
            writer.saveAsTable(self._place.name)
        else:
            writer.save(self._folder)


def _create(spark: SparkSession, table: Table, name: str) -> None:
    """An empty table in the catalog, in the session's default format: Delta on Databricks, else Parquet."""
    provider = str(spark.conf.get("spark.sql.sources.default"))
    columns = spark.createDataFrame([], table.schema)
    columns.writeTo(name).using(provider).partitionedBy(f.col(table.partitioned_by[0])).create()


@contextmanager
def open_slices(spark: SparkSession, table: Table, path: str, run_id: str, wait_seconds: float) -> Iterator[Slices]:
    """The table at `path` (or `table:NAME`) for one writer, after what a killed run left has been put right.

    Raises `LockError` where another run has it for longer than `wait_seconds`.
    """
    place = locate(spark, path)
    if place.folder is None and place.name:
        _create(spark, table, place.name)
        place = locate(spark, path)
    folder = str(place.folder)
    with TableLock(folder, run_id, wait_seconds) as lock:
        recover(folder)
        try:
            yield Slices(spark, table, path, place, run_id, lock)
        except BaseException:
            with suppress(OSError, LockError):  # the error that ended the block is the one to hear of
                lock.check()
                recover(folder)
            raise
        lock.check()
        recover(folder)
