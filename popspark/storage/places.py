"""Where a sliced table stands: in a folder, or under a name in the session's catalog; as Parquet or as Delta."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fsspec.core import url_to_fs
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from popspark.runtime.session import check_name

CATALOG = "table:"
ABSENT = ("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA")
"""Spark's conditions for a path or a table that does not exist, and for a folder without a file of a table, such as one
that holds a lock only."""


def is_absent(error: AnalysisException) -> bool:
    """Whether Spark says that there is no such table, rather than that it cannot read it."""
    condition = error.getCondition() if hasattr(error, "getCondition") else error.getErrorClass()  # since, before 4.0
    return condition in ABSENT


@dataclass(frozen=True)
class Place:
    """folder: of the files, None for a catalog table that does not exist yet. name: in the catalog, if it is there."""

    folder: str | None
    name: str | None
    is_delta: bool


def locate(spark: SparkSession, path: str) -> Place:
    """A path, or `table:NAME` for a table of the session's catalog, such as `table:lake.popularity.scores`."""
    if not path.startswith(CATALOG):
        check_name(spark, path)
        fs, root = url_to_fs(path)
        return Place(path.rstrip("/"), None, bool(fs.exists(f"{root}/_delta_log")))
    name = path.removeprefix(CATALOG)
    try:
        rows = spark.sql("DESCRIBE TABLE EXTENDED IDENTIFIER(:name)", args={"name": name}).collect()
    except AnalysisException as error:
        if not is_absent(error):
            raise
        return Place(None, name, False)
    facts = {row["col_name"]: row["data_type"] for row in rows}
    return Place(facts.get("Location"), name, str(facts.get("Provider")).lower() == "delta")


def snapshot(path: str) -> str | None:
    """A digest of the names, sizes and times of the files at `path`: the same as long as nothing there was written.

    None where there are none that can be listed, as of a table of the catalog.
    """
    if path.startswith(CATALOG):
        return None
    try:
        fs, root = url_to_fs(path)
        found = fs.find(root, detail=True)
    except Exception:  # Spark may reach what this process does not, and each file system has errors of its own
        return None
    times = ("mtime", "LastModified", "last_modified", "updated", "ETag")
    files = [
        (name, about["size"], [str(about.get(key)) for key in times])
        for name, about in sorted(found.items())
        if not name.rpartition("/")[2].startswith(("_", "."))
    ]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16] if files else None
