"""The only place that builds a SparkSession, and the only one that touches what Spark Connect does not have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from shutil import make_archive
from typing import Any

import pyspark
from packaging.version import Version
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, SparkSession

from popspark.runtime.errors import ConfigError
from popspark.runtime.scratch import scratch_folder

STDERR = 2
"""Its file descriptor: in a notebook, sys.stderr is something else."""
HAS_ARTIFACTS = Version(pyspark.__version__).major >= 4
"""And bounds an Arrow batch by its bytes; Spark 3.5 does neither on a classic session."""

ZONE = {"spark.sql.session.timeZone": "UTC"}
"""Of every session, whatever else is asked for: days, months and hours of posts are those of UTC."""
ALWAYS = {
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # what every other reader of Parquet expects
    "spark.sql.legacy.parquet.nanosAsLong": "true",  # pandas writes times in nanoseconds, at which Spark would end
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Memory of one batch stays with a Python worker for the next, which needs as much again: glibc's malloc would
    # return it and ask for the same pages anew, a sixth of the time of EfficientNet-Lite0. 256 MiB at the heap's end,
    # and all blocks up to 32 MiB, the most that glibc allows. Another C library does not know the variables.
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": "268435456",
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": "33554432",
    # Images make large rows. Spark 4 bounds a batch by its bytes, Spark 3.5 only by its rows: 8 MiB at 128 KiB each.
    "spark.sql.execution.arrow.maxBytesPerBatch": "8388608",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1024" if HAS_ARTIFACTS else "64",
}


STARTED_ELSEWHERE = (
    "PYSPARK_GATEWAY_PORT",
    "SPARK_REMOTE",
    "SPARK_API_MODE",
    "SPARK_CONNECT_MODE_ENABLED",
    "DATABRICKS_RUNTIME_VERSION",
)
"""Variables of processes whose Spark is spark-submit's, a notebook's or a server's."""


def get_session(app_name: str, options: Mapping[str, Any]) -> SparkSession:
    """A session with popspark importable on its workers, classic or Connect as the environment says.

    options: by Spark's full names; those given to spark-submit win over `ALWAYS`, `options` win over both, and `ZONE`
    over all. Workers run
    this process's Python unless PYSPARK_PYTHON or spark.pyspark.python says otherwise.
    """
    os.environ.setdefault("PYSPARK_PYTHON", str(options.get("spark.pyspark.python", sys.executable)))
    options = {**ALWAYS, **options, **ZONE}
    interrupted = signal.getsignal(signal.SIGINT)
    if _starts_spark(options):
        options = {**_alone(), **options}
        _start_quietly(app_name, options)
    builder = SparkSession.builder.appName(app_name)
    for key, value in options.items():
        builder = builder.config(key, str(value))
    spark = builder.getOrCreate()
    if interrupted != signal.default_int_handler and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)  # a job's own again, and not PySpark's, after which the job goes on
    ship_package(spark)
    return spark


def _starts_spark(options: Mapping[str, Any]) -> bool:
    """Whether this process starts Spark itself: not under spark-submit, in a notebook, or as a client of Connect."""
    is_elsewhere = any(name in os.environ for name in STARTED_ELSEWHERE) or "spark.remote" in options
    return not is_elsewhere and SparkContext._gateway is None


def _alone() -> dict[str, str]:
    """Options of a Spark that this process starts, where nobody chose others.

    A task that failed is tried again, as local[*] never does: an image that crashes its decoder then costs one row.
    """
    log_settings = Path(__file__).with_name("log4j2.properties")
    found = {
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log_settings.as_uri()}",
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
    }
    home = Path(os.environ.get("SPARK_CONF_DIR", Path(os.environ.get("SPARK_HOME", "")) / "conf"))
    if not (home / "spark-defaults.conf").is_file():
        found["spark.master"] = "local[*,4]"
    return found


def _start_quietly(app_name: str, options: Mapping[str, Any]) -> None:
    """Starts the JVM without the notice on incubator modules that Java prints before any logging is set up."""
    conf = SparkConf(loadDefaults=False).setAppName(app_name).setAll([(k, str(v)) for k, v in options.items()])
    gateway = launch_gateway(conf, {"stderr": subprocess.PIPE})
    threading.Thread(target=_forward, args=(gateway.proc.stderr,), name="stderr of Spark", daemon=True).start()
    SparkContext(conf=conf, gateway=gateway)


def _forward(stream: Any) -> None:
    """What the JVM writes, as it comes, to where it would have written itself, but for the notice."""
    first = stream.readline()
    content = b"" if b"Using incubator modules" in first else first
    while content or (content := stream.read1()):
        content = content[os.write(STDERR, content) :]


def ship_package(spark: SparkSession) -> None:
    """Sends popspark to the workers, unless spark-submit's --py-files brought it; once per session."""
    package = Path(__file__).resolve().parents[1]
    if not package.is_dir():  # imported from the zip that --py-files sent everywhere
        return
    archive = make_archive(str(scratch_folder() / "popspark"), "zip", package.parent, package.name)
    _add_once(spark, archive, pyfile=True)


def ship_file(spark: SparkSession, path: str | Path) -> None:
    """Sends a local file to the workers, which find it by its name with `SparkFiles.get`; once per session."""
    _add_once(spark, str(Path(path).resolve()))


ALREADY_THERE = ("already exists", "ARTIFACT_ALREADY_EXISTS", "DUPLICATED_ARTIFACT", "already registered")


def _add_once(spark: SparkSession, path: str, pyfile: bool = False) -> None:
    """A session keeps the first artifact of a name, so a second job in one process does not replace it."""
    try:
        if not HAS_ARTIFACTS and "connect" not in type(spark).__module__:
            (spark.sparkContext.addPyFile if pyfile else spark.sparkContext.addFile)(path)
        else:
            spark.addArtifacts(path, pyfile=pyfile, file=not pyfile)
    except Exception as error:  # the class differs between classic and Connect
        if not any(sign in str(error) for sign in ALREADY_THERE):
            raise


def spread(rows: DataFrame, n_tasks: int, *columns: str) -> DataFrame:
    """The rows in `n_tasks` tasks by a hash of `columns`, for work that takes long on few bytes.

    Spark drops a repartition by the very number of its setting, and then merges tasks that are small in bytes: all of
    them into one. So that number is left out.
    """
    return rows.repartition(n_tasks + (n_tasks == shuffle_partitions(rows.sparkSession)), *columns)


def check_name(spark: SparkSession, path: str) -> None:
    """Raises `ConfigError` where Java cannot name a local path in its locale, and would write another one.

    Only a classic session can be asked.
    """
    is_local = "://" not in path or path.startswith("file:")
    if path.isascii() or not is_local or "connect" in type(spark).__module__:
        return
    encoding = str(spark._jvm.java.lang.System.getProperty("sun.jnu.encoding"))  # type: ignore[union-attr]
    if encoding.upper() not in ("UTF-8", "UTF8"):
        raise ConfigError(
            "Java cannot name this path in its locale.",
            where=ascii(path),
            got=f"the encoding {encoding} of names",
            legal="a locale of UTF-8, for names that are not ASCII",
            fix="LC_ALL=C.UTF-8, before spark-submit or popspark is started",
        )


def shuffle_partitions(spark: SparkSession) -> int | None:
    """The session's number of tasks after a shuffle; None where Databricks chooses it, `auto`."""
    number = str(spark.conf.get("spark.sql.shuffle.partitions"))
    return int(number) if number.isdigit() else None


def n_cores(spark: SparkSession) -> int:
    """Tasks that run at once; on Connect, which does not tell, those after a shuffle, or as many as Spark's default."""
    if hasattr(spark, "_sc") and spark._sc is not None:
        return int(spark.sparkContext.defaultParallelism)
    return shuffle_partitions(spark) or 200
