"""The validating read and write of the tables of `popspark.storage.tables`."""

from __future__ import annotations

import re

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

from popspark.runtime.errors import PathError, SchemaError
from popspark.runtime.session import check_name
from popspark.storage.places import is_absent, locate
from popspark.storage.publishing import settle
from popspark.storage.schemas.table import Table


def _differences(actual: t.StructType, table: Table) -> list[str]:
    have = {field.name: field.dataType for field in actual.fields}
    missing = [
        f"missing column {name} {kind.simpleString()}" for name, kind in table.columns.items() if name not in have
    ]
    wrong = [
        f"column {name} is {have[name].simpleString()}, must be {kind.simpleString()}"
        for name, kind in table.columns.items()
        if name in have and have[name].simpleString() != kind.simpleString()
    ]
    return missing + wrong


def validate(rows: DataFrame, table: Table, where: str) -> DataFrame:
    """The table's own columns of `rows`, in order; raises `SchemaError` with all differences at once.

    Columns that the table does not declare are dropped.
    """
    differences = _differences(rows.schema, table)
    if differences:
        raise SchemaError(
            f"These are not rows of table {table.name}.",
            where=where,
            got="; ".join(differences),
            legal=f"the columns of popspark.storage.tables.{table.name.upper()}",
            fix="write it with the job that makes it, or add the columns (null where unknown)",
        )
    return rows.select(*table.columns)


def read_table(spark: SparkSession, table: Table, path: str) -> DataFrame:
    """Reads and validates; raises `PathError` where nothing is, `SchemaError` where that is no such table."""
    check_name(spark, path)
    try:
        rows = _open_sliced(spark, path) if table.is_sliced else spark.read.parquet(path)
        return validate(rows, table, path)
    except Exception as error:  # for a file that is no Parquet, of a class that differs between classic and Connect
        broken = re.search(r"\[\S*CANNOT_READ_FILE_FOOTER\].*", str(error))
        if not broken and not isinstance(error, AnalysisException):
            raise
        fault = PathError if isinstance(error, AnalysisException) and is_absent(error) else SchemaError
        got = broken[0] if broken else str(error).splitlines()[0]
        raise fault(f"Cannot read the {table.name} table.", where=path, got=got) from error


def _open_sliced(spark: SparkSession, path: str) -> DataFrame:
    place = locate(spark, path)
    if place.folder and not place.is_delta:
        settle(place.folder)
    if place.name:
        return spark.read.table(place.name)
    return spark.read.format("delta" if place.is_delta else "parquet").load(path)


def find_table(spark: SparkSession, table: Table, path: str) -> DataFrame | None:
    """`read_table`, or None where nothing is yet."""
    try:
        return read_table(spark, table, path)
    except PathError:
        return None


def write_table(rows: DataFrame, table: Table, path: str, mode: str = "overwrite") -> None:
    """Validates and replaces the table at `path`; mode `append` adds to it."""
    check_name(rows.sparkSession, path)
    rows = validate(rows, table, f"rows to be written to {path}")
    if table.ordered_by:
        rows = rows.sortWithinPartitions(*table.partitioned_by, *table.ordered_by)
    writer = rows.write.mode(mode).options(**table.parquet)
    writer.partitionBy(*table.partitioned_by).parquet(path)


def no_rows(spark: SparkSession, table: Table) -> DataFrame:
    """A table without rows, which Spark knows to be empty before it reads it."""
    columns = (f.lit(None).cast(kind).alias(name) for name, kind in table.columns.items())
    return spark.range(0).select(*columns)


def count_by_status(rows: DataFrame, column: str = "status") -> dict[str, int]:
    """Rows by their status, `ok` first, then the most frequent first."""
    counts = {str(row[column]): row["count"] for row in rows.groupBy(column).count().collect()}
    return dict(sorted(counts.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])))
