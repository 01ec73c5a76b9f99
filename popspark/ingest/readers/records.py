"""Files to records: (file, line, nth, raw, raw_base64, fault), read on executors and never whole in memory.

    file        its path; within a zip or tar path/of.zip!/name
    line        from 1, of the line where it begins; exact, also where many tasks read one file
    nth         from 0, among the records that begin on that line
    raw         text; bytes that are not UTF-8 are U+FFFD in it
    raw_base64  the bytes, where they are not of the encoding, so that nothing is lost
    fault       null, or why this is not a record, e.g. truncated_json

Nothing of a file is dropped but empty lines, and of a zip or tar hidden and `__MACOSX` entries and, for JSON, what is
none by its name, see `popspark.ingest.readers.files`: a container that ends too early and JSON that is cut become
records with a fault. Plain files of lines are read by Spark, in parallel also within a file. Containers (gzip, zip,
tar), JSON documents and CSV are streamed by one task a file, in memory bounded by the largest record, and so must be on
a path that the executors can open.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest.readers.csv import Lines, iter_csv, read_header
from popspark.ingest.readers.files import cannot_be_json
from popspark.ingest.readers.json import iter_json, iter_json_rows
from popspark.ingest.readers.texts import Text, is_archive, is_wide, open_members
from popspark.storage.warehouse import as_pattern, read_strictly

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "file string, line bigint, nth bigint, raw string, raw_base64 string, fault string"
BATCH_ROWS = 512


@dataclass(frozen=True)
class Layout:
    """How a file falls into records.

    kind: `lines`; `json`, a sequence of JSON values or an array of them, each element a record, see `iter_json`;
        `json_rows`, a table of objects, counted in rows instead of lines, see `iter_json_rows`; `csv`, each row below
        the header a record, see `iter_csv`.
    delimiter, escape, columns: of CSV, see `iter_csv`. encoding: of a text that does not begin with a byte order mark.
    """

    kind: Literal["lines", "json", "json_rows", "csv"]
    delimiter: str = ","
    escape: str | None = None
    columns: tuple[str, ...] = ()
    encoding: str = "utf-8"


class Record(NamedTuple):
    """One record of a file, see above; `raw_base64` and `fault` are None in a good one."""

    file: str
    line: int
    nth: int
    raw: str
    raw_base64: str | None
    fault: str | None

    def lossless(self) -> str:
        """The text for a reject, as the function `lossless` gives it."""
        return f"{self.raw}\nbase64:{self.raw_base64}" if self.raw_base64 else self.raw


def lossless(raw: Column, raw_base64: Column) -> Column:
    """The text for a reject: with its bytes behind it where they were not UTF-8."""
    return F.concat(raw, F.coalesce(F.concat(F.lit("\nbase64:"), raw_base64), F.lit("")))


def is_container(path: str) -> bool:
    """Whether the file has to be unpacked first."""
    return path.lower().endswith(".gz") or is_archive(path)


def read_lines(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """Records of the lines of plain files and containers; empty ones are left out but counted in `line`.

    Counts the lines of plain files first, in one pass over them. A file of more than one byte a unit, by its byte order
    mark, is streamed as a container is, and so is one with a colon in its name, which Spark lists but cannot open.
    """
    packed = [file for file in files if is_container(file) or is_wide(file) or ":" in file.rsplit("/", 1)[-1]]
    plain = [file for file in files if file not in packed]
    if not packed:
        return _read_plain_lines(spark, plain)
    streamed = stream_records(spark, packed, Layout("lines"))
    return _read_plain_lines(spark, plain).unionByName(streamed) if plain else streamed


def _read_plain_lines(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """Spark's blocks of text with the number of each line in its file.

    Within a partition monotonically_increasing_id counts the lines in the order of the file, so a first pass that
    only counts (first id and length of each block) is enough: no sort, no shuffle of the text.
    """
    text = read_strictly(spark).option("lineSep", "\n").text([as_pattern(file) for file in files])
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
    n_above = F.col("id") - F.col("first_id")
    line = F.when((n_above >= 0) & (n_above < F.col("n")), F.col("n_before") + n_above + 1).otherwise(
        F.raise_error(F.lit("popspark: the file changed between two passes over it")).cast("bigint")
    )
    encoded = F.regexp_replace(F.base64(F.col("bytes").cast("binary")), r"\s", "")  # Spark's has line breaks
    records = rows.join(F.broadcast(offsets), ["file", "block"]).select(
        "file",
        line.alias("line"),
        F.lit(0).cast("bigint").alias("nth"),
        F.make_valid_utf8("bytes").alias("raw"),
        F.when(~F.is_valid_utf8("bytes"), encoded).alias("raw_base64"),
        F.lit(None).cast("string").alias("fault"),
    )
    return records.where(F.trim("raw") != "")


def stream_records(spark: SparkSession, files: Sequence[str], layout: Layout) -> DataFrame:
    """Records of `files`, each streamed by one task in the given layout."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The records of the files that the batches name; on executors."""
        for batch in batches:
            for file in batch.column(0).to_pylist():
                yield from to_batches(iter_records(file, layout), SCHEMA)

    tasks = spark.createDataFrame([(file,) for file in files], "file string").repartition(len(files), "file")
    return tasks.mapInArrow(read, SCHEMA)


def to_batches(rows: Iterable[Sequence[Any]], schema: str) -> Iterator[pa.RecordBatch]:
    """Arrow batches, of `BATCH_ROWS` at most, of rows of texts and whole numbers.

    schema: as Spark takes it, of the types string and bigint.
    """
    import pyarrow as pa

    kinds = {"string": pa.string(), "bigint": pa.int64()}
    fields = [field.split() for field in schema.split(", ")]
    types = pa.schema([(name, kinds[kind]) for name, kind in fields])

    def batch(held: list[Sequence[Any]]) -> pa.RecordBatch:
        columns = zip(zip(*held, strict=True), types.types, strict=True)
        return pa.RecordBatch.from_arrays([pa.array(values, kind) for values, kind in columns], schema=types)

    held: list[Sequence[Any]] = []
    for row in rows:
        held.append(row)
        if len(held) == BATCH_ROWS:
            yield batch(held)
            held = []
    if held:
        yield batch(held)


def iter_records(path: str, layout: Layout) -> Iterator[Record]:
    """The records of one file, in order; plain Python; on executors."""
    for name, stream, fault in open_members(path):
        if layout.kind == "json" and cannot_be_json(name.partition("!/")[2]):
            continue
        if stream is None:
            yield Record(name, 0, 0, "", None, fault)
            continue
        text = Text(stream, layout.encoding)
        last, nth = 0, 0
        for line, raw, fault in _split(text, layout):
            last, nth = line, nth + 1 if line == last else 0
            yield _as_record(name, line, nth, raw, fault, layout.kind)
        if text.fault:
            yield Record(name, 0, nth + 1 if last == 0 else 0, "", None, text.fault)


def iter_headers(path: str, layout: Layout) -> Iterator[tuple[str, list[str] | None, str | None]]:
    """(name, columns, first line) of each CSV table in a file, columns None where it has no text; on executors."""
    for name, stream, _ in open_members(path):
        if stream is not None:
            lines = Lines(Text(stream, layout.encoding).lines_with_ends())
            found = read_header(lines, layout.delimiter, layout.escape, layout.columns)
            yield name, found and found[0], "".join(lines.taken).rstrip("\r\n")


def _split(text: Text, layout: Layout) -> Iterator[tuple[int, str, str | None]]:
    """(line, raw, fault) of the records of a text."""
    if layout.kind == "json":
        return iter_json(iter(text))
    if layout.kind == "json_rows":
        return iter_json_rows(iter(text))
    if layout.kind == "csv":
        return iter_csv(text.lines_with_ends(), layout.delimiter, layout.escape, layout.columns)
    lines = ((number, line.rstrip("\r"), None) for number, line in enumerate(text.lines(), start=1))
    return (line for line in lines if line[1].strip(" "))


def _as_record(file: str, line: int, nth: int, text: str, fault: str | None, kind: str) -> Record:
    """The record of text that was decoded with surrogateescape."""
    if text.isascii():
        return Record(file, line, nth, text, None, fault)
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if valid == text:
        return Record(file, line, nth, valid, None, fault)
    row = json.loads(text)["row"] if kind == "csv" and fault is None else text
    encoded = base64.b64encode(row.encode("utf-8", "surrogateescape")).decode("ascii")
    return Record(file, line, nth, valid, encoded, fault)
