"""The only place that builds a SparkSession, and the only one that touches what Spark Connect does not have."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import make_archive
from typing import Any

import pyspark
from pyspark.sql import SparkSession

ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # what every other reader of Parquet expects
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Memory of one batch stays with a Python worker for the next, which needs as much again: glibc's malloc would
    # return it and ask for the same pages anew, a sixth of the time of EfficientNet-Lite0. 256 MiB at the heap's end,
    # and all blocks up to 32 MiB, the most that glibc allows. Another C library does not know the variables.
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": "268435456",
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": "33554432",
    # Images make large rows. Spark 4 bounds a batch by its bytes, Spark 3.5 only by its rows: 8 MiB at 128 KiB each.
    "spark.sql.execution.arrow.maxBytesPerBatch": "8388608",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64" if pyspark.__version__ < "4" else "1024",
}


def get_session(app_name: str, options: Mapping[str, Any]) -> SparkSession:
    """A session with popspark importable on its workers, classic or Connect as the environment says.

    options: by Spark's full names; those given to spark-submit win over `ALWAYS`, `options` win over both.
    """
    if str(options.get("spark.master", "")).startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # Spark's own default is any python3 on the path
    builder = SparkSession.builder.appName(app_name)
    for key, value in {**ALWAYS, **options}.items():
        builder = builder.config(key, str(value))
    spark = builder.getOrCreate()
    ship_package(spark)
    return spark


def ship_package(spark: SparkSession) -> None:
    """Sends popspark to the workers, unless spark-submit's --py-files brought it; once per session."""
    package = Path(__file__).resolve().parents[1]
    if not package.is_dir():  # imported from the zip that --py-files sent everywhere
        return
    archive = make_archive(str(Path(tempfile.mkdtemp()) / "popspark"), "zip", package.parent, package.name)
    _add_once(spark, archive, pyfile=True)


def ship_file(spark: SparkSession, path: str | Path) -> None:
    """Sends a local file to the workers, which find it by its name with `SparkFiles.get`; once per session."""
    _add_once(spark, str(Path(path).resolve()))


ALREADY_THERE = ("already exists", "ARTIFACT_ALREADY_EXISTS", "DUPLICATED_ARTIFACT", "already registered")


def _add_once(spark: SparkSession, path: str, pyfile: bool = False) -> None:
    """A session keeps the first artifact of a name, so a second job in one process does not replace it."""
    try:
        if pyspark.__version__ < "4" and "connect" not in type(spark).__module__:  # has no artifacts yet
            (spark.sparkContext.addPyFile if pyfile else spark.sparkContext.addFile)(path)
        else:
            spark.addArtifacts(path, pyfile=pyfile, file=not pyfile)
    except Exception as error:  # the class differs between classic and Connect
        if not any(sign in str(error) for sign in ALREADY_THERE):
            raise
