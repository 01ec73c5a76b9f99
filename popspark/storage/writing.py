"""The two ways to write a table: at once, or in a transaction; and the claim that keeps a second run away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession

from popspark.runtime.errors import ConfigError
from popspark.storage.catalogs import NamedTransaction
from popspark.storage.delta import check_folder, locate_folder
from popspark.storage.folders import FolderTransaction
from popspark.storage.locking import TableLock
from popspark.storage.schemas.table import Table
from popspark.storage.transaction import Transaction
from popspark.storage.warehouse import CATALOG


def begin(spark: SparkSession, table: Table, path: str, run_id: str | None = None) -> Transaction:
    """A transaction over the table at `path`, a folder or `table:NAME`, which is made by it if need be."""
    if path.startswith(CATALOG):
        return NamedTransaction(spark, table, path, run_id)
    return FolderTransaction(spark, table, path, run_id)


def write_table(
    rows: DataFrame,
    table: Table,
    path: str,
    mode: Literal["overwrite", "append"] = "overwrite",
    run_id: str | None = None,
) -> None:
    """Validates and replaces the table at `path` in one act; mode `append` adds to it."""
    with begin(rows.sparkSession, table, path, run_id) as writing:
        writing.stage(rows)
        writing.commit([] if mode == "append" else None)


@contextmanager
def claim(paths: Sequence[str], run_id: str, wait_seconds: float = 0) -> Iterator[list[dict[str, Any]]]:
    """The tables at `paths` for one run, so that a second one ends before it computes anything.

    Yields the holders whose locks were stale. Raises `LockError` where another run has one of the tables for longer
    than `wait_seconds`. A table by name has no folder for a lock: there a second run ends when it commits.
    """
    if repeated := [path for n, path in enumerate(paths) if path in paths[:n]]:
        raise ConfigError(
            "Two tables cannot have one path.", where=repeated[0], fix="name another path for one of them"
        )
    with ExitStack() as stack:
        folders = sorted({locate_folder(path) for path in paths if not path.startswith(CATALOG)})
        for folder in folders:
            check_folder(folder)
        locks = [stack.enter_context(TableLock(folder, run_id, wait_seconds)) for folder in folders]
        yield [lock.broken for lock in locks if lock.broken]
