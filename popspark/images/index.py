"""Files to the images table: bytes, sha256, and what each file's header says."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from fsspec.implementations.arrow import ArrowFSWrapper
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t
from pyspark.sql.pandas.functions import pandas_udf

from popspark.images import decode as codecs
from popspark.images.limits import Limits
from popspark.runtime.errors import PathError
from popspark.storage.tables import IMAGES

FILE = t.StructType([t.StructField(name, kind) for name, kind in IMAGES.columns.items() if name != "image_id"])
ROWS_PER_FILE, MIN_ROWS_PER_FILE = 1000, 16
"""Of the images table: many small files go into few large ones; 1,000 images of 100 kB make 100 MB. A small table
has smaller files, for a file is read by one task, and one file would keep all cores but one idle."""


def _root_of(source: str) -> str:
    """The folder that comes before the first wildcard of a path or glob."""
    steps = source.rstrip("/").split("/")
    return "/".join(steps[: next((i for i, step in enumerate(steps) if set(step) & set("*?[{")), len(steps))])


def _open_root(root: str) -> tuple[Any, str]:
    """The file system of the root and the root's path in it: local, S3, GCS, HDFS, ABFS."""
    from pyarrow import fs

    return fs.FileSystem.from_uri(root) if "://" in root else (fs.LocalFileSystem(), root)


def list_images(spark: SparkSession, source: str) -> tuple[DataFrame, str]:
    """All files below a folder or matching a glob: rows of image_id, the path below the root; and that root.

    Files below a name that begins with `.` or `_` are left out, as everywhere in Spark. The names are listed on the
    driver, for Spark's own listing drops files without bytes. Raises `PathError` where nothing is.
    """
    if "://" not in source:
        source = str(Path(source).absolute())
    root = _root_of(source)
    filesystem, base = _open_root(root)
    tree = ArrowFSWrapper(filesystem)
    is_glob = root != source.rstrip("/")
    found = tree.glob(base + source[len(root) :]) if is_glob else tree.find(base)
    names = [path[len(base.rstrip("/")) + 1 :] for path in found]
    seen = [name for name in names if not any(step.startswith((".", "_")) for step in name.split("/"))]
    if not seen:
        raise PathError("There is nothing to ingest.", where=source, legal="a folder or a glob with files in it")
    return spark.createDataFrame(pd.DataFrame({"image_id": seen}), "image_id string"), root


def _refused(status: str, error: str, n_bytes: int | None = None) -> dict[str, Any]:
    return {"n_bytes": n_bytes, "status": status, "error": error}


def _read_file(filesystem: Any, root: str, image_id: str | None, limits: Limits) -> dict[str, Any]:
    from pyarrow import fs

    if not image_id:
        return _refused("missing", "the row names no image")
    path = posixpath.normpath(posixpath.join(root, image_id))
    if isinstance(filesystem, fs.LocalFileSystem):
        path, root = os.path.realpath(path), os.path.realpath(root)
    if not path.startswith(root.rstrip("/") + "/"):
        return _refused("outside_root", f"the path leads out of {root}")
    try:
        info = filesystem.get_file_info(path)
        if info.type != fs.FileType.File:
            return _refused("missing", "there is no such file")
        if info.size is not None and info.size > limits.max_bytes:
            return _refused("too_large", f"{info.size} bytes; the limit is {limits.max_bytes}", info.size)
        with filesystem.open_input_stream(path) as stream:
            content = stream.read()
    except OSError as error:
        return _refused("unreadable", f"{type(error).__name__}: {error}"[:200])
    row = {"content": content, "sha256": codecs.sha256(content), "n_bytes": len(content)}
    try:
        header = codecs.read_header(content, limits)
    except codecs.ImageRefused as refusal:
        return row | {"content": None, "status": refusal.status, "error": str(refusal)}
    size = {"width_px": header.width_px, "height_px": header.height_px}
    return row | size | {"format": header.format, "status": "ok", "error": None}


def _build_reader(root: str, limits: Limits) -> Callable[..., Column]:
    def read(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        """Files with their status; on executors."""
        filesystem, base = _open_root(root)
        for batch in batches:
            rows = [_read_file(filesystem, base, image_id, limits) for image_id in batch]
            frame = pd.DataFrame(rows, columns=FILE.names, dtype=object)  # pandas 3 would make them Arrow strings
            for name in ("n_bytes", "width_px", "height_px"):
                frame[name] = frame[name].astype("Int64")
            yield frame

    return pandas_udf(read, FILE).asNondeterministic()  # type: ignore[call-overload]


def read_images(paths: DataFrame, root: str, limits: Limits) -> DataFrame:
    """Rows of image_id to the images table: each file read once, refused files with a status and without bytes.

    root: the folder that every path must stay in; an absolute path or a URI. Ids are taken once each.
    """
    ids = paths.select(f.col("image_id").cast("string")).where("image_id IS NOT NULL").distinct()
    n_ids, n_tasks = ids.count(), int(str(ids.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    n_files = max(-(-n_ids // ROWS_PER_FILE), min(-(-n_ids // MIN_ROWS_PER_FILE), n_tasks), 1)
    files = ids.repartition(n_files, "image_id").withColumn("file", _build_reader(root, limits)("image_id"))
    return files.select("image_id", "file.*")
