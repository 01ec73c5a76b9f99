"""Exports of an API as JSON: pages or single answers, in documents, in arrays, or one a line.

A line that holds more than one object, or one and something else, falls into its records as a document does. Half of a
pair that JSON writes as `\\ud83d` alone is U+FFFD, which Java would make a question mark; `n_replaced` counts them.
"""

from __future__ import annotations

import re
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest.readers.files import Files, cannot_be_json
from popspark.ingest.readers.json import iter_json
from popspark.ingest.readers.records import Layout, is_container, read_lines, stream_records
from popspark.runtime.errors import PathError

FILE = re.compile(r"\.(json|jsonl|ndjson|txt)$")
LINES = (".jsonl", ".ndjson")
_HALF = (
    r"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
"""The escape of a high surrogate without a low one behind it, or of a low one without a high one before it."""


def reads(file: str) -> bool:
    """Whether a file of that path can hold pages."""
    return (is_container(file) or FILE.search(file.lower()) is not None) and not cannot_be_json(file.rsplit("/", 1)[-1])


def reads_member(name: str) -> bool:
    """Whether a file of that name in a zip or tar can hold pages."""
    return not cannot_be_json(name)


def check_json(files: Files) -> None:
    """Raises `PathError` where no file is one of JSON."""
    if not files.read:
        legal = ".json, .jsonl, .ndjson, .txt, gzip, a zip or tar"
        raise PathError("There is no JSON here.", where=files.source, got=str(files) or None, legal=legal)


def read_pages(spark: SparkSession, files: Files, schema: str) -> DataFrame:
    """Records, see `popspark.ingest.readers.records`, with `page`, the record parsed by `schema`, and `n_replaced`.

    A record that is no JSON has the fault `not_json`. Raises `PathError` where the source holds no JSON.
    """
    check_json(files)
    lines = [file for file in files.read if file.lower().endswith(LINES)]
    documents = [file for file in files.read if file not in lines]
    found = [_split_lines(read_lines(spark, lines))] if lines else []
    found += [stream_records(spark, documents, Layout("json"))] if documents else []
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt"}
    records = reduce(DataFrame.unionByName, found)
    has_surrogates = F.col("raw").contains("\\ud") | F.col("raw").contains("\\uD")
    whole = F.when(has_surrogates, F.regexp_replace("raw", _HALF, r"$1\\ufffd")).otherwise(F.col("raw"))
    n_replaced = F.when(has_surrogates, F.regexp_count("raw", F.lit(_HALF)))
    page = F.from_json("whole", f"{schema}, _corrupt string", options)
    is_corrupt = F.col("page._corrupt").isNotNull()
    return (
        records.withColumns({"whole": whole, "n_replaced": F.nullif(n_replaced, F.lit(0))})
        .withColumn("page", page)
        .withColumn("fault", F.coalesce("fault", F.when(is_corrupt, F.lit("not_json"))))
        .drop("raw")
        .withColumnRenamed("whole", "raw")
    )


def _split_lines(lines: DataFrame) -> DataFrame:
    """The records of lines: most are one object, which Spark sees; only the others go through Python."""

    def split(raw: str | None) -> list[tuple[int, str, str | None]] | None:
        """(nth, raw, fault) of what a line holds; on executors."""
        return None if raw is None else split_line(raw)

    of_line = F.udf(split, "array<struct<nth: bigint, raw: string, fault: string>>")
    raw = F.col("raw")
    is_one = raw.startswith("{") & raw.endswith("}") & (F.json_array_length(F.concat(F.lit("["), raw, F.lit("]"))) == 1)
    one = F.array(F.struct(F.lit(0).cast("bigint").alias("nth"), raw, F.col("fault")))
    is_other = F.col("fault").isNull() & ~F.coalesce(is_one, F.lit(False))
    found = lines.withColumn("records", of_line(F.when(is_other, raw)))
    return found.select("file", "line", "raw_base64", F.explode(F.coalesce("records", one)).alias("record")).select(
        "file", "line", "record.nth", "record.raw", "raw_base64", "record.fault"
    )


def split_line(raw: str) -> list[tuple[int, str, str | None]]:
    """(nth, raw, fault) of the objects in a line; what is none, or does not end in it, is `not_json`."""
    found = [(text, fault and "not_json") for _, text, fault in iter_json(iter([raw])) if text]
    if not any(text.startswith("{") for text, _ in found):
        found = [(raw, "not_json")]
    return [(nth, text, fault) for nth, (text, fault) in enumerate(found)]
