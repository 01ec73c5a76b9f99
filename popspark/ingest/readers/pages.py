"""Exports of an API as JSON: pages or single answers, in documents, in arrays, or one a line."""

from __future__ import annotations

import re
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest.readers.records import Layout, is_container, list_files, read_lines, stream_records
from popspark.runtime.errors import PathError

FILE = r"\.(json|jsonl|ndjson|txt)(\.gz)?$"
LINES = (".jsonl", ".ndjson")


def read_pages(spark: SparkSession, source: str, schema: str) -> DataFrame:
    """Records, see `popspark.ingest.readers.records`, with a column `page`: the record parsed by `schema`.

    A record that is no JSON has the fault `not_json`. Raises `PathError` where the source holds no JSON.
    """
    files = [file for file in list_files(spark, source) if is_container(file) or re.search(FILE, file.lower())]
    if not files:
        raise PathError("There is no JSON here.", where=source, legal=".json, .jsonl, .ndjson, .txt, gzip, or a zip")
    lines = [file for file in files if file.lower().endswith(LINES)]
    documents = [file for file in files if file not in lines]
    found = [read_lines(spark, lines)] if lines else []
    found += [stream_records(spark, documents, Layout("json"))] if documents else []
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt"}
    page = F.from_json("raw", f"{schema}, _corrupt string", options)
    is_corrupt = F.col("page._corrupt").isNotNull()
    return (
        reduce(DataFrame.unionByName, found)
        .withColumn("page", page)
        .withColumn("fault", F.coalesce("fault", F.when(is_corrupt, F.lit("not_json"))))
    )
