"""Tables of a catalog, by name: Delta and Iceberg, each by its own writer.

What cannot replace rows in one act is refused, before anything is computed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.errors.exceptions.base import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.runtime.errors import ConfigError, LockError
from popspark.storage.schemas.table import Table
from popspark.storage.transaction import Transaction
from popspark.storage.warehouse import CATALOG, is_absent, validate

PROVIDERS = ("delta", "iceberg")
CONFLICT = re.compile(
    "Concurrent|CONCURRENT|Found conflicting files|Found new conflicting|Cannot commit|has been updated|CommitFailed"
)
"""What the writers of Delta and Iceberg say where another one came first; Connect passes on their text alone."""
_DETAILS = "# Detailed Table Information"


@dataclass(frozen=True)
class NamedTable:
    """What the catalog says. provider: delta or iceberg. number: of the version, or id of the snapshot; null: empty."""

    provider: str
    number: int | None


def quoted(name: str) -> str:
    """Its parts, each in backticks, unless it has some."""
    return name if "`" in name else ".".join(f"`{part}`" for part in name.split("."))


def describe(spark: SparkSession, name: str) -> NamedTable | None:
    """The table of that name, None where its catalog and schema have none.

    Raises `ConfigError` for a view, for a provider that cannot replace rows in one act, and for a name whose catalog
    or schema does not exist: a mistyped name makes no table.
    """
    try:
        rows = spark.sql(f"DESCRIBE TABLE EXTENDED {quoted(name)}").collect()
    except AnalysisException as error:
        if is_absent(error):
            return None
        legal = "table:CATALOG.SCHEMA.NAME, of a catalog that the session knows"
        raise ConfigError(
            "There is no such catalog.", where=name, got=str(error).splitlines()[0], legal=legal
        ) from error
    names = [row["col_name"] for row in rows]
    details = rows[names.index(_DETAILS) :] if _DETAILS in names else []
    facts = {row["col_name"]: row["data_type"] for row in details}
    provider = str(facts.get("Provider", "")).lower()
    if "table_type=ICEBERG" in str(facts.get("Table Properties")):  # as Glue has it, under the provider hive
        provider = "iceberg"
    if provider not in PROVIDERS:
        raise ConfigError(
            "This cannot be written: it could not be replaced in one act.",
            where=name,
            got=str(facts.get("Type", "a view")).lower() if not provider else f"a table of {provider}",
            legal="a table of Delta or Iceberg, or a name that is free",
            fix="give another name, or a path",
        )
    return NamedTable(provider, _number(spark, name, provider))


def _number(spark: SparkSession, name: str, provider: str) -> int | None:
    if provider == "delta":
        return int(spark.sql(f"DESCRIBE HISTORY {quoted(name)} LIMIT 1").collect()[0]["version"])
    found = spark.sql(f"SELECT snapshot_id FROM {quoted(name)}.refs WHERE name = 'main'").collect()
    return int(found[0][0]) if found else None


def provider_of(spark: SparkSession, name: str) -> str:
    """What a new table of that name is; raises `ConfigError` where the session has neither Delta nor Iceberg for it."""
    catalog = name.replace("`", "").split(".")[0] if name.count(".") > 1 else "spark_catalog"
    implementation = str(spark.conf.get(f"spark.sql.catalog.{catalog}", "")).lower()
    on_databricks = spark.conf.get("spark.databricks.clusterUsageTags.clusterId", None) is not None
    if "iceberg" in implementation:
        return "iceberg"
    if "delta" in implementation or "unity" in implementation or on_databricks:
        return "delta"
    raise ConfigError(
        "This session has no writer for a table of that name.",
        where=name,
        got=f"spark.sql.catalog.{catalog} = {implementation or 'none'}",
        legal="a catalog of Delta or Iceberg",
        fix="give the session one, or a path in the place of a name",
    )


class NamedTransaction(Transaction):
    """Of a table by name: pinned to the version that it finds, which is compared when it commits."""

    def __init__(self, spark: SparkSession, table: Table, path: str, run_id: str | None) -> None:
        super().__init__(spark, table, path, run_id)
        self._name = path.removeprefix(CATALOG)
        self._base = describe(spark, self._name)
        self._provider = self._base.provider if self._base else provider_of(spark, self._name)
        self._staged: list[DataFrame] = []
        self._n_staged = 0

    def __exit__(self, *error: object) -> None:
        self.unstage()

    def read(self) -> DataFrame | None:
        if self._base is None:
            return None
        options = {} if self._base.number is None else {_PINNED[self._provider]: str(self._base.number)}
        return validate(self.spark.read.options(**options).table(self._name), self.table, self.path)

    def stage(self, rows: DataFrame) -> None:
        # Not persisted: what a plan observes is not told by one that is read from the cache.
        rows = validate(rows, self.table, f"rows to be written to {self.path}").localCheckpoint()
        self._n_staged += rows.count()
        self._staged.append(rows)

    @property
    def n_staged(self) -> int:
        return self._n_staged

    def staged(self) -> DataFrame:
        rows = self.spark.createDataFrame([], self.table.schema)
        for more in self._staged:
            rows = more if more is self._staged[0] else rows.unionByName(more)
        return rows

    def unstage(self) -> None:
        self._staged, self._n_staged = [], 0

    def keep(self, rows: DataFrame) -> DataFrame:
        """Held by the executors: there is no folder of ours beside a table by name."""
        return rows.localCheckpoint()

    def _staged_slices(self) -> set[str]:
        column = self.table.partitioned_by[0]
        return {row[0] for row in self.staged().select(column).distinct().collect()}

    def _commit(self, replaced: list[str] | None) -> None:
        if self._base is None:
            self._create()
        elif (now := describe(self.spark, self._name)) != self._base:
            raise self._moved(f"{now.number if now else 'no table'}")
        writer = self.staged().writeTo(quoted(self._name)).options(**self._options())
        try:
            if replaced == []:
                writer.append()
            elif replaced is None:
                writer.overwrite(F.lit(True))
            else:
                writer.overwrite(F.col(self.table.partitioned_by[0]).isin(replaced))
        except PySparkException as error:
            if CONFLICT.search(str(error)):
                raise self._moved(str(error).splitlines()[0]) from error
            raise
        self.unstage()
        self._base = describe(self.spark, self._name)

    def _create(self) -> None:
        rows = self.spark.createDataFrame([], self.table.schema)
        writer = rows.writeTo(quoted(self._name)).using(self._provider)
        if self.table.partitioned_by:
            writer = writer.partitionedBy(*(F.col(name) for name in self.table.partitioned_by))
        writer.create()
        self._base = describe(self.spark, self._name)

    def _options(self) -> Mapping[str, str]:
        if self._provider == "delta":
            return {"userMetadata": json.dumps(self.facts)}
        options = {f"snapshot-property.{name}": value for name, value in self.facts.items()}
        if self._base and self._base.number is not None:
            options["validate-from-snapshot-id"] = str(self._base.number)
        return {**options, "isolation-level": "serializable"}

    def _moved(self, got: str) -> LockError:
        return LockError(
            "Another run has written this table meanwhile.",
            where=self.path,
            got=got,
            legal=f"version {self._base.number}, which the rows were made from" if self._base else "no table",
            fix="run the job again: nothing of this run counts",
        )


_PINNED = {"delta": "versionAsOf", "iceberg": "snapshot-id"}
"""The readers' options for one version."""
