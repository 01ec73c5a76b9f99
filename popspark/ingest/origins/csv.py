"""CSV, see `popspark.ingest.origins.table`: any text whose lines are rows, plain, gzipped or in a zip."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest.exports import Options
from popspark.ingest.mapping import ColumnMapping
from popspark.ingest.origins.table import TABLES, check_columns, parse_tables
from popspark.ingest.readers.files import Files
from popspark.ingest.readers.records import Layout, is_container, iter_headers, stream_records, to_batches

if TYPE_CHECKING:
    import pyarrow as pa

FILE = re.compile(r"\.(csv|tsv|txt)$")
HEADERS = "file string, columns string, line string"
_LOG = logging.getLogger(__name__)


def reads(file: str) -> bool:
    """Whether a file of that path can be CSV."""
    return is_container(file) or FILE.search(file.lower()) is not None


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    return parse_tables(spark, files, options, read_tables)


def read_tables(spark: SparkSession, files: list[str], mapping: ColumnMapping) -> DataFrame:
    """Rows of the files, see `popspark.ingest.origins.table`."""
    layout = Layout("csv", mapping.delimiter, mapping.escape, mapping.columns, mapping.encoding)
    left_out = []
    for file, columns, line in _headers(spark, files, layout):
        is_table = columns is not None and set(columns) & set(mapping.wanted)
        if not is_table and (columns is None or not TABLES.search(file.lower())):
            left_out.append(file)
        else:
            check_columns(file, columns or [], line, mapping)
    if left_out:
        _LOG.warning("Left out, as they hold no table with a column of the mapping: %s", ", ".join(left_out))
    rows = stream_records(spark, files, layout).where(~F.col("file").isin(left_out) | F.col("fault").like("%:%"))
    record = F.from_json("raw", "row string, values map<string,string>")
    rows = rows.withColumn("record", F.when(F.col("fault").isNull(), record))
    return rows.select(
        "file",
        "line",
        "nth",
        F.coalesce(F.col("record.row"), F.col("raw")).alias("raw"),
        "fault",
        "raw_base64",
        F.col("record.values").alias("fields"),
    )


def _headers(spark: SparkSession, files: list[str], layout: Layout) -> list[tuple[str, list[str] | None, str]]:
    """(file, columns, first line) of each table, columns None where it has no text."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The first lines of the files that the batches name; on executors."""
        for batch in batches:
            found = (header for file in batch.column(0).to_pylist() for header in iter_headers(file, layout))
            yield from to_batches(
                ((name, None if columns is None else "\n".join(columns), line) for name, columns, line in found),
                HEADERS,
            )

    tasks = spark.createDataFrame([(file,) for file in files], "file string").repartition(len(files), "file")
    found = tasks.mapInArrow(read, HEADERS).collect()
    return [(row.file, None if row.columns is None else row.columns.split("\n"), row.line) for row in found]
