"""Parquet, see `popspark.ingest.origins.table`."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.ingest.exports import Options
from popspark.ingest.mapping import ColumnMapping
from popspark.ingest.origins.table import check_columns, parse_tables
from popspark.ingest.readers.files import Files
from popspark.storage.warehouse import as_pattern, read_strictly


def reads(file: str) -> bool:
    """Whether a file of that path is Parquet."""
    return file.lower().endswith(".parquet")


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    return parse_tables(spark, files, options, read_tables)


def read_tables(spark: SparkSession, files: list[str], mapping: ColumnMapping) -> DataFrame:
    """Rows of the files, see `popspark.ingest.origins.table`, those of one schema in one read."""

    def schema_of(file: str) -> t.StructType | str:
        """The schema, or why the file cannot be read."""
        try:
            return read_strictly(spark).parquet(as_pattern(file)).schema
        except Exception as error:  # Spark's own class differs between classic and Connect, and so does the fault's
            return _why(file, str(error))

    with ThreadPoolExecutor(8) as pool:
        schemas = list(pool.map(schema_of, files))
    groups, broken = dict[str, list[str]](), list[tuple[str, str]]()
    for file, schema in zip(files, schemas, strict=True):
        if isinstance(schema, str):
            broken.append((file, f"unreadable: {schema}"))
            continue
        check_columns(file, schema.names, "", mapping)
        groups.setdefault(schema.json(), []).append(file)
    read = [_read_group(spark, group) for group in groups.values()]
    return reduce(DataFrame.unionByName, [*read, _broken(spark, broken)] if broken else read)


def _why(file: str, error: str) -> str:
    """Why Spark cannot read a file, in words."""
    if found := re.match(r"\[(PARQUET_TYPE|COLUMN_ALREADY)\S*\] (.*)", error):
        return f"{found[2]} Leave the column out, or write it with another type or name"
    if ":" in file.rsplit("/", 1)[-1]:
        return "Spark opens no Parquet with a colon in its name, rename it"
    return "this is no Parquet, or a file that was cut"


def _broken(spark: SparkSession, files: list[tuple[str, str]]) -> DataFrame:
    """A row for each file that cannot be read, with its fault."""
    zero, none = F.lit(0).cast("bigint"), F.lit(None).cast("string")
    return spark.createDataFrame(files, "file string, fault string").select(
        "file",
        zero.alias("line"),
        zero.alias("nth"),
        F.lit("").alias("raw"),
        "fault",
        none.alias("raw_base64"),
        F.lit(None).cast("map<string,string>").alias("fields"),
    )


def _read_group(spark: SparkSession, files: list[str]) -> DataFrame:
    table = read_strictly(spark).parquet(*map(as_pattern, files))
    columns = list(table.schema.fields)
    pairs = [cell for field in columns for cell in (F.lit(field.name), _as_text(field))]
    none = F.lit(None).cast("string")
    return table.select(
        F.col("_metadata.file_path").alias("file"),
        (F.col("_metadata.row_index") + 1).alias("line"),
        F.lit(0).cast("bigint").alias("nth"),
        F.to_json(F.struct(*[F.col(_quoted(f.name)) for f in columns]), {"timeZone": "UTC"}).alias("raw"),
        none.alias("fault"),
        none.alias("raw_base64"),
        F.create_map(*pairs).alias("fields"),
    )


def _quoted(name: str) -> str:
    """A column's name as `F.col` takes it, whatever signs are in it."""
    return f"`{name.replace('`', '``')}`"


def _as_text(field: t.StructField) -> Column:
    """A column of Parquet as a CSV would have it: whole doubles as whole numbers, times as microseconds since 1970."""
    column = F.col(_quoted(field.name))
    if isinstance(field.dataType, t.ArrayType | t.StructType | t.MapType):
        return F.to_json(column)
    if isinstance(field.dataType, t.TimestampType):
        return F.unix_micros(column).cast("string")
    if isinstance(field.dataType, t.DoubleType | t.FloatType):
        exact = 2**53 if isinstance(field.dataType, t.DoubleType) else 2**24
        is_whole = (column == F.floor(column)) & (F.abs(column) < exact)
        return F.when(is_whole, column.try_cast("bigint").cast("string")).otherwise(column.cast("string"))
    return column.cast("string")
