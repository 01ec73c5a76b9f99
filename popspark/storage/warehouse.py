"""The validating read and write of the tables of `popspark.storage.tables`: Delta in a folder, Parquet, or by name."""

from __future__ import annotations

import json
import logging
import re

from fsspec.core import url_to_fs
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.runtime.errors import PathError, PopsparkError, SchemaError
from popspark.runtime.session import check_name
from popspark.storage.delta import Version, is_begun, locate_folder, read_version
from popspark.storage.schemas.table import Table

LOG = logging.getLogger(__name__)
CATALOG = "table:"
ABSENT = ("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA")
"""Spark's conditions for a path or a table that does not exist, and for a folder without a file of a table, such as one
that holds a lock only."""
OTHER_FORMATS = {"_delta_log": "Delta", "metadata": "Iceberg", ".hoodie": "Hudi"}


def is_absent(error: AnalysisException) -> bool:
    """Whether Spark says that there is no such table, rather than that it cannot read it."""
    condition = error.getCondition() if hasattr(error, "getCondition") else error.getErrorClass()  # since, before 4.0
    return condition in ABSENT


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
    """Reads and validates; raises `PathError` where nothing is, `SchemaError` where that is no such table.

    path: `table:NAME` for any table or view of the session's catalog; else a folder, of a Delta table, whose newest
    version is read and stays what it is whatever is committed meanwhile, or of Parquet files.
    """
    return validate(open_rows(spark, path, table.name), table, path)


def open_rows(spark: SparkSession, path: str, name: str = "") -> DataFrame:
    """The rows of whatever table is there, as `read_table` finds it. name: for the message where there is none."""
    if not path.startswith(CATALOG):
        check_name(spark, path)
    try:
        if path.startswith(CATALOG):
            return spark.read.table(path.removeprefix(CATALOG))
        if version := read_version(path):
            return read_files(spark, version, version.paths())
        if is_begun(locate_folder(path)):
            raise PathError("This table is being made, or a run that made it was killed.", where=path)
        return _read_parquet(spark, path)
    except PopsparkError:
        raise
    except Exception as error:  # for a file that is no Parquet, of a class that differs between classic and Connect
        broken = re.search(r"\[\S*CANNOT_READ_FILE_FOOTER\].*", str(error))
        if not broken and not isinstance(error, AnalysisException):
            raise
        fault = PathError if isinstance(error, AnalysisException) and is_absent(error) else SchemaError
        what, got = f"the {name} table" if name else "this table", broken[0] if broken else str(error).splitlines()[0]
        raise fault(f"Cannot read {what}.", where=path, got=got) from error


def find_table(spark: SparkSession, table: Table, path: str) -> DataFrame | None:
    """`read_table`, or None where nothing is yet."""
    try:
        return read_table(spark, table, path)
    except PathError:
        return None


def register_tables(spark: SparkSession, warehouse: str) -> dict[str, DataFrame]:
    """See `popspark.tables`; raises `PathError` where the warehouse holds none."""
    from popspark.storage import tables

    names = sorted({found.name for name in tables.__all__ if isinstance(found := getattr(tables, name), Table)})
    separator = "." if warehouse.startswith(CATALOG) else "/"
    found = dict[str, DataFrame]()
    for name in names:
        try:
            found[name] = open_rows(spark, f"{warehouse.rstrip('/')}{separator}{name}")
            found[name].createOrReplaceTempView(name)
        except PathError:
            continue
        except SchemaError as error:  # the others are to be had
            LOG.warning("No view of %s. %s", name, error)
    if not found:
        raise PathError("There is no table of popspark's.", where=warehouse, legal=", ".join(names))
    return found


def read_files(spark: SparkSession, version: Version, paths: list[str]) -> DataFrame:
    """The rows of these files of a version; raises `SchemaError` where Spark does not see them all."""
    schema = t.StructType.fromJson(json.loads(version.schema))
    if not paths:
        return spark.createDataFrame([], schema)
    reader = read_strictly(spark).schema(schema).option("basePath", as_uri(version.folder))
    reader = reader.option("datetimeRebaseMode", "CORRECTED")  # pyarrow's days before 1582 are as they stand
    try:
        rows = reader.parquet(*(as_pattern(as_uri(path)) for path in paths))
        if (n_seen := len(rows.inputFiles())) == len(paths):
            return rows
        got = f"{n_seen:,} of {len(paths):,}"
    except AnalysisException as error:  # never taken for a table that is not there yet
        got = str(error).splitlines()[0]
    raise SchemaError(
        "Spark does not see all files of this version.",
        where=version.folder,
        got=got,
        legal=f"the files of version {version.number}",
        fix="they were deleted, or Spark reaches another disk: give a path that all machines see alike",
    )


def read_strictly(spark: SparkSession) -> DataFrameReader:
    """A reader to which a damaged or absent file is an error, whatever the session says: no row is lost silently."""
    return spark.read.option("ignoreCorruptFiles", "false").option("ignoreMissingFiles", "false")


def as_uri(path: str) -> str:
    """The path with a scheme, so that Spark does not look for it on its default file system."""
    return path if "://" in path else f"file://{path}"


def as_pattern(path: str) -> str:
    """The path as Spark takes it, which reads brackets, stars and question marks as a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def _read_parquet(spark: SparkSession, path: str) -> DataFrame:
    folder = locate_folder(path)
    fs, root = url_to_fs(folder)
    above = [root.rsplit("/", n)[0] for n in range(root.count("/"))]
    for parent in filter(None, above):
        for name, format in OTHER_FORMATS.items():
            found = fs.glob(f"{parent}/{name}/*.metadata.json") if name == "metadata" else fs.exists(f"{parent}/{name}")
            if found:
                raise SchemaError(
                    f"This is within a table of {format}, some of whose files count no more.",
                    where=path,
                    got=f"{parent}/{name}",
                    fix="give the table's own folder where it is Delta, else its name: table:CATALOG.SCHEMA.NAME",
                )
    return read_strictly(spark).parquet(as_pattern(folder) if fs.exists(root) else path)


def no_rows(spark: SparkSession, table: Table) -> DataFrame:
    """A table without rows, which Spark knows to be empty before it reads it."""
    columns = (F.lit(None).cast(kind).alias(name) for name, kind in table.columns.items())
    return spark.range(0).select(*columns)


def count_by_status(rows: DataFrame, column: str = "status") -> dict[str, int]:
    """Rows by their status, `ok` first, then the most frequent first."""
    counts = {str(row[column]): row["count"] for row in rows.groupBy(column).count().collect()}
    return dict(sorted(counts.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])))
