"""Files to records: (file, line, raw, raw_base64, fault), read on the executors and never whole in memory.

    file        its path; within a zip container path/of.zip!/name
    line        from 1: of the line, or of the object in a JSON array; exact, also where one file is many tasks
    raw         text; bytes that are not UTF-8 are U+FFFD in it
    raw_base64  the bytes, where they are not UTF-8, so that nothing is lost
    fault       null, or why this is not a record, e.g. truncated_json

Plain files are read by Spark, in parallel also within a file. Containers (gzip, zip) and JSON documents are streamed by
one task a file (`popspark.ingest.readers.streams`), and so must be on a path that the executors can open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest.readers.streams import Layout, is_container, iter_records
from popspark.runtime.errors import PathError

if TYPE_CHECKING:
    import pandas as pd


SCHEMA = "file string, line bigint, raw string, raw_base64 string, fault string"
COLUMNS = ("file", "line", "raw", "raw_base64", "fault")
BATCH = 512


def lossless(raw: Column, raw_base64: Column) -> Column:
    """The text for a reject: with its bytes behind it where they were not UTF-8."""
    return F.concat(raw, F.coalesce(F.concat(F.lit("\nbase64:"), raw_base64), F.lit("")))


def size_files(spark: SparkSession, source: str) -> dict[str, int]:
    """The files at or below `source` and their sizes in bytes, without hidden ones and those of `__MACOSX`.

    Raises `PathError` where there is none.
    """
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(source)
        found = {row.path: row.length for row in files.select("path", "length").collect()}
    except Exception as error:  # Spark's own class differs between classic and Connect
        if "PATH_NOT_FOUND" not in str(error):
            raise
        found = {}
    kept = {path: n_bytes for path, n_bytes in found.items() if "/__MACOSX/" not in path}
    if not kept:
        raise PathError("There is no file to read.", where=source)
    return kept


def list_files(spark: SparkSession, source: str) -> list[str]:
    """The paths of `size_files`, sorted."""
    return sorted(size_files(spark, source))


def read_lines(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """The lines of plain files and containers; empty ones are left out but counted in `line`.

    Counts the lines of plain files first, in one pass over them.
    """
    plain = [f for f in files if not is_container(f)]
    packed = [f for f in files if is_container(f)]
    parts = [_read_plain(spark, plain)] if plain else []
    parts += [stream_rows(spark, packed, Layout("separated"))] if packed else []
    rows = reduce(DataFrame.unionByName, parts)
    return rows.where((F.trim("raw") != "") | F.col("fault").isNotNull())


def _read_plain(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """Spark's blocks of text with the number of each line in its file.

    Within a partition monotonically_increasing_id counts the lines in the order of the file, so a first pass that
    only counts (first id and length of each block) is enough: no sort, no shuffle of the text.
    """
    text = spark.read.option("lineSep", "\n").text(list(files))
    rows = text.select(
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("id"),
        F.rtrim(F.col("value"), F.lit("\r")).alias("bytes"),
    )
    found = rows.groupBy("file", "block").agg(F.count("*").alias("n"), F.min("id").alias("first_id")).collect()
    n_lines = dict[str, int]()
    blocks = []
    for file, block, n, first_id in sorted((r.file, r.block, r.n, r.first_id) for r in found):
        blocks.append((file, block, n, first_id, n_lines.get(file, 0)))
        n_lines[file] = n_lines.get(file, 0) + n
    if not blocks:
        return spark.createDataFrame([], SCHEMA)
    offsets = spark.createDataFrame(blocks, "file string, block bigint, n bigint, first_id bigint, n_before bigint")
    place = F.col("id") - F.col("first_id")
    line = F.when((place >= 0) & (place < F.col("n")), F.col("n_before") + place + 1).otherwise(
        F.raise_error(F.lit("popspark: the file changed between two passes over it")).cast("bigint")
    )
    base64 = F.regexp_replace(F.base64(F.col("bytes").cast("binary")), r"\s", "")  # Spark's has line breaks
    return rows.join(F.broadcast(offsets), ["file", "block"]).select(
        "file",
        line.alias("line"),
        F.make_valid_utf8("bytes").alias("raw"),
        F.when(~F.is_valid_utf8("bytes"), base64).alias("raw_base64"),
        F.lit(None).cast("string").alias("fault"),
    )


def stream_rows(spark: SparkSession, files: Sequence[str], layout: Layout) -> DataFrame:
    """Records of `files`, each streamed by one task in the given layout."""
    tasks = spark.createDataFrame([(f,) for f in files], "file string").repartition(len(files), "file")
    return tasks.mapInPandas(_make_reader(layout), SCHEMA)  # type: ignore[arg-type]  # pyspark's own protocol type


def _make_reader(layout: Layout) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def read(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:  # runs on executors
        import pandas as pd

        for batch in batches:
            for file in batch["file"]:
                held = []
                for record in iter_records(file, layout):
                    held.append(record)
                    if len(held) == BATCH:
                        yield pd.DataFrame(held, columns=list(COLUMNS), dtype=object)
                        held = []
                if held:
                    yield pd.DataFrame(held, columns=list(COLUMNS), dtype=object)

    return read
