"""Files to the images table: an index of where they are, their sha256, and what their headers say; no bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.images import decode as codecs
from popspark.images.limits import Limits
from popspark.images.listing import Files, find_files
from popspark.images.naming import Names
from popspark.images.references import exists, read_uri
from popspark.runtime.session import spread
from popspark.storage.tables import IMAGES

BYTES_PER_TASK, FILES_PER_TASK, MIN_TASKS = 256 << 20, 2000, 16
"""Of files that a task reads: what is lost with it takes a minute or two. Fewer files are spread over all cores."""
LISTED = {"image_id": "string", "uri": "string", "n_bytes": "bigint", "status": "string", "error": "string"}
"""Columns of a listing."""


def to_rows(spark: SparkSession, files: Files) -> DataFrame:
    """Rows of `LISTED`, one a file."""
    rows = pd.DataFrame([vars(entry) for entry in files.entries], columns=list(LISTED)).astype({"n_bytes": "Int64"})
    return spark.createDataFrame(rows, ", ".join(f"{name} {kind}" for name, kind in LISTED.items()))


def list_images(spark: SparkSession, source: str, follow_links: bool = False) -> tuple[DataFrame, str]:
    """All files below a folder or matching a glob, as `popspark.images.listing` finds them, and their root.

    Raises `PathError` where nothing is.
    """
    files = find_files(source, follow_links)
    return to_rows(spark, files), files.root


def _locate(names: Names, row: dict[str, Any]) -> str:
    """The uri of a row, found by its name where it has none yet."""
    if row["uri"] is not None:
        return str(row["uri"])
    refusal = None
    try:
        uri = names.exact(row["image_id"])
        if exists(uri):
            return uri
    except codecs.ImageRefused as refused:
        refusal = refused
    try:
        return names.search(row["image_id"])
    except codecs.ImageRefused:
        if refusal is not None:
            raise refusal from None
        raise


def _index_file(names: Names, listed: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """A row of the images table."""
    row: dict[str, Any] = {"image_id": listed["image_id"]}
    if listed["status"] is not None:
        return row | {"status": listed["status"], "error": listed["error"]}
    try:
        row["uri"] = _locate(names, listed)
        content = read_uri(row["uri"], limits.max_bytes)
        row |= {"sha256": codecs.sha256(content), "n_bytes": len(content)}
        header = codecs.read_header(content, limits)
    except codecs.ImageRefused as refusal:
        return row | {"status": refusal.status, "error": str(refusal)}
    return row | {
        "width_px": header.width_px,
        "height_px": header.height_px,
        "format": header.format,
        "status": "ok",
        "error": None,
    }


def index_images(paths: DataFrame, root: str, limits: Limits, follow_links: bool = False) -> DataFrame:
    """Rows of image_id to the images table: each file read once, refused files with a status.

    paths: rows of `LISTED`, or of image_id alone, which `popspark.images.naming` then finds. root: the folder that
    every path must stay in; an absolute path or a URI. Ids are taken once each.
    """
    columns = [
        (F.col(name) if name in paths.columns else F.lit(None)).cast(kind).alias(name) for name, kind in LISTED.items()
    ]
    ids = paths.select(*columns).where("image_id IS NOT NULL").dropDuplicates(["image_id"])
    n_ids, n_bytes = ids.agg(F.count("*"), F.coalesce(F.sum("n_bytes"), F.lit(0))).collect()[0]
    n_tasks = max(-(-n_ids // FILES_PER_TASK), -(-n_bytes // BYTES_PER_TASK), min(n_ids, MIN_TASKS), 1)
    schema = IMAGES.arrow_schema

    def index(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of images, one a file; on executors."""
        names = Names(root, follow_links)
        for batch in batches:
            rows = [_index_file(names, listed, limits) for listed in batch.to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema)

    return spread(ids, n_tasks).mapInArrow(index, IMAGES.schema)


def look_up_images(ids: DataFrame, root: str, follow_links: bool = False) -> DataFrame:
    """Rows of image_id to (image_id, error): null where its file is there, by whatever spelling, else why it is not.

    Nothing of a file is read.
    """

    def look_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Names, and what is wrong with them; on executors."""
        names = Names(root, follow_links)
        for batch in batches:
            image_ids = batch.column("image_id").to_pylist()
            errors = pa.array([_fault_of(names, image_id) for image_id in image_ids], pa.string())
            yield pa.RecordBatch.from_arrays([pa.array(image_ids, pa.string()), errors], names=["image_id", "error"])

    named = ids.select("image_id").where("image_id IS NOT NULL")
    return named.mapInArrow(look_up, "image_id string, error string")


def _fault_of(names: Names, image_id: str) -> str | None:
    try:
        _locate(names, {"image_id": image_id, "uri": None})
    except codecs.ImageRefused as refusal:
        return str(refusal)
    return None


def count_respelt(images: DataFrame, root: str) -> int:
    """Images of posts whose file has another name below the root than the post gives it."""
    exact = F.col("uri") == F.concat(F.lit(f"{Names(root).root}/"), "image_id")
    return images.where((F.col("status") == "ok") & ~(exact | (F.col("uri") == F.col("image_id")))).count()
