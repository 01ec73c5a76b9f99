"""Files to the images table: an index of where they are, their sha256, and what their headers say; no bytes."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.utils import glob_translate
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from popspark.images import decode as codecs
from popspark.images.limits import Limits
from popspark.images.references import OBJECT_STORES, open_store, read_uri, split_uri
from popspark.runtime.errors import PathError
from popspark.runtime.session import spread
from popspark.storage.tables import IMAGES

BYTES_PER_TASK, FILES_PER_TASK, MIN_TASKS = 256 << 20, 2000, 16
"""Of files that a task reads: what is lost with it takes a minute or two. Fewer files are spread over all cores."""
ARROW_TYPES = {"bigint": pa.int64(), "int": pa.int32(), "string": pa.string()}


def _root_of(source: str) -> str:
    """The folder that comes before the first wildcard of a path or glob."""
    steps = source.rstrip("/").split("/")
    return "/".join(steps[: next((i for i, step in enumerate(steps) if set(step) & set("*?[{")), len(steps))])


def list_objects(root: str, pattern: str | None) -> Iterator[tuple[str, int]]:
    """Names below the root of an object store, and sizes."""
    url, prefix = split_uri(root)
    below = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    matches = re.compile(glob_translate(pattern)) if pattern else None
    for found in open_store(url).list(prefix or None):
        for entry in found:
            name = entry["path"][len(below) :]
            if matches is None or matches.match(name):
                yield name, entry["size"]


def _list_files(root: str, pattern: str | None) -> Iterator[tuple[str, int]]:
    """Names below the root of a file system, local or pyarrow's, and sizes."""
    from pyarrow import fs

    filesystem, base = fs.FileSystem.from_uri(root) if "://" in root else (fs.LocalFileSystem(), root)
    tree = ArrowFSWrapper(filesystem)
    found = tree.glob(f"{base}/{pattern}", detail=True) if pattern else tree.find(base, detail=True)
    for path, entry in found.items():
        yield path[len(base.rstrip("/")) + 1 :], entry["size"] or 0


def list_images(spark: SparkSession, source: str) -> tuple[DataFrame, str]:
    """All files below a folder or matching a glob: image_id, the path below the root, and n_bytes; and that root.

    Files below a name that begins with `.` or `_` are left out, as everywhere in Spark. The names are listed on the
    driver, for Spark's own listing drops files without bytes. Raises `PathError` where nothing is.
    """
    if "://" not in source:
        source = str(Path(source).absolute())
    root = _root_of(source)
    pattern = source[len(root) + 1 :] if root != source.rstrip("/") else None
    lister = list_objects if source.partition("://")[0] in OBJECT_STORES else _list_files
    seen = [
        (name, n_bytes)
        for name, n_bytes in lister(root, pattern)
        if not any(step.startswith((".", "_")) for step in name.split("/"))
    ]
    if not seen:
        raise PathError("There is nothing to ingest.", where=source, legal="a folder or a glob with files in it")
    names = pd.DataFrame(seen, columns=["image_id", "n_bytes"])
    return spark.createDataFrame(names, "image_id string, n_bytes bigint"), root


def _uri_of(root: str, image_id: str) -> str | None:
    """The file's absolute path or uri; None where that leads out of the root, by `..` or by a link."""
    if "://" in root:
        scheme, _, base = root.partition("://")
        path = posixpath.normpath(posixpath.join(base, image_id))
        return f"{scheme}://{path}" if path.startswith(base.rstrip("/") + "/") else None
    path, base = os.path.realpath(os.path.join(root, image_id)), os.path.realpath(root)
    return path if path.startswith(base.rstrip("/") + "/") else None


def _index_file(root: str, image_id: str, limits: Limits) -> dict[str, Any]:
    """A row of the images table."""
    if not image_id:
        return {"image_id": image_id, "status": "missing", "error": "the row names no image"}
    uri = _uri_of(root, image_id)
    if uri is None:
        return {"image_id": image_id, "status": "outside_root", "error": f"the path leads out of {root}"}
    row: dict[str, Any] = {"image_id": image_id, "uri": uri}
    try:
        content = read_uri(uri, limits.max_bytes)
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


def index_images(paths: DataFrame, root: str, limits: Limits) -> DataFrame:
    """Rows of image_id to the images table: each file read once, refused files with a status.

    paths: may have n_bytes, by which the work is shared out. root: the folder that every path must stay in; an
    absolute path or a URI. Ids are taken once each.
    """
    size = f.col("n_bytes") if "n_bytes" in paths.columns else f.lit(None).cast("bigint")
    ids = paths.select(f.col("image_id").cast("string"), size.alias("n_bytes")).where("image_id IS NOT NULL")
    ids = ids.dropDuplicates(["image_id"])
    n_ids, n_bytes = ids.agg(f.count("*"), f.coalesce(f.sum("n_bytes"), f.lit(0))).collect()[0]
    n_tasks = max(-(-n_ids // FILES_PER_TASK), -(-n_bytes // BYTES_PER_TASK), min(n_ids, MIN_TASKS), 1)
    schema = pa.schema([(name, ARROW_TYPES[kind.simpleString()]) for name, kind in IMAGES.columns.items()])

    def index(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of images, one a file; on executors."""
        for batch in batches:
            rows = [_index_file(root, image_id, limits) for image_id in batch.column("image_id").to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema)

    return spread(ids, n_tasks, "image_id").mapInArrow(index, IMAGES.schema)
