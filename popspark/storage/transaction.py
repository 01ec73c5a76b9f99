"""One run's write of a table: rows are written, looked at and counted, and then count by one act, or never.

| the table | rows are written by | they count by | another run meanwhile |
|---|---|---|---|
| a folder, `popspark.storage.folders` | pyarrow in the tasks | one commit of ours | `LockError` |
| a name, `popspark.storage.catalogs`: Delta | its own writer | replaceWhere, the version compared before | the same |
| Iceberg | its own writer | overwrite, validated from the snapshot that was read | the same |

A reader sees the table of before or the new one, whatever is killed and when.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import popspark
from popspark.runtime.errors import AccountingError
from popspark.storage.schemas.table import Table


class Transaction(ABC):
    """One run's work on the table at `path`, from the version that it finds; a `with` block, after which what was not
    committed is gone.
    """

    def __init__(self, spark: SparkSession, table: Table, path: str, run_id: str | None) -> None:
        self.spark, self.table, self.path, self.run_id = spark, table, path, run_id
        self.notes = dict[str, str]()
        """What the history shall say besides the run."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    @abstractmethod
    def read(self) -> DataFrame | None:
        """The table as this run found it, or as it committed it; None where it does not exist."""

    @abstractmethod
    def stage(self, rows: DataFrame) -> None:
        """Computes rows and keeps them, beside those staged before; nothing of the table changes."""

    @property
    @abstractmethod
    def n_staged(self) -> int:
        """Rows staged."""

    @abstractmethod
    def staged(self) -> DataFrame:
        """What was staged."""

    @abstractmethod
    def unstage(self) -> None:
        """Takes away what was staged."""

    @abstractmethod
    def keep(self, rows: DataFrame) -> DataFrame:
        """The rows computed once, until the run ends."""

    def commit(self, replaced: Iterable[str] | None = None) -> None:
        """Makes what was staged the table's, in one act.

        replaced: values of the slices that it takes the place of; empty to append, None to replace all.
        Raises `AccountingError` for two rows of one key among the rows staged, or for one outside of the slices, and
        `LockError` where another run has written the table since this one began.
        """
        values = None if replaced is None else sorted(set(replaced))
        self._check_keys()
        if values:
            self._check_slices(values)
        self._commit(values)

    @abstractmethod
    def _commit(self, replaced: list[str] | None) -> None: ...

    @property
    def facts(self) -> dict[str, str]:
        """What the history of the table says of this run."""
        return {"popspark": popspark.__version__, **self.notes} | ({"run_id": self.run_id} if self.run_id else {})

    def _check_keys(self) -> None:
        if not self.table.key or self.n_staged < 2:
            return
        rows, keys = self.staged(), F.struct(*self.table.key)
        (n_hashes,) = rows.agg(F.count_distinct(F.xxhash64(*self.table.key))).collect()[0]
        if n_hashes == self.n_staged:
            return
        repeated = rows.groupBy(keys.alias("key")).count().where("count > 1").limit(1).collect()
        if repeated:  # and not two keys of one hash
            raise AccountingError(
                f"Two rows of table {self.table.name} have one key; nothing was written.",
                where=self.path,
                got=", ".join(f"{name}={value}" for name, value in repeated[0]["key"].asDict().items()),
                legal="one row a key",
            )

    def _check_slices(self, values: list[str]) -> None:
        column = self.table.partitioned_by[0]
        outside = self._staged_slices() - set(values)
        if outside:
            raise AccountingError(
                "Rows were staged for slices that they shall not replace.",
                where=self.path,
                got=f"{column} {', '.join(sorted(outside))}",
                legal=", ".join(values),
            )

    @abstractmethod
    def _staged_slices(self) -> set[str]:
        """Values of the first column that the table is partitioned by, of the rows staged."""
