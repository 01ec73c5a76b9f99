"""A session with Delta Lake's and Iceberg's jars, which come from Maven: `make test-lake`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pyspark
import pytest
from packaging.version import Version
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

JARS = {
    "3.5": ["io.delta:delta-spark_2.12:3.3.2", "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0"],
    "4.0": ["io.delta:delta-spark_2.13:4.0.1", "org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.0"],
}
"""By the version of Spark."""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """In the place of the other tests' session: spark_catalog holds Delta and more, `ice` is a catalog of Iceberg."""
    release = Version(pyspark.__version__)
    jars = JARS.get(f"{release.major}.{release.minor}")
    if jars is None:
        pytest.skip(f"no jars are known for Spark {release}")
    folder = tmp_path_factory.mktemp("lake")
    options = {
        "spark.jars.packages": ",".join(jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension,"
        "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalog.ice": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.ice.type": "hadoop",
        "spark.sql.catalog.ice.warehouse": str(folder / "ice"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -Dderby.system.home={folder}",
    }
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:  # the JVM ended before it answered, which it does where a jar is not found
        pytest.skip(f"Maven has not given the jars of Delta and Iceberg, so none of these tests was run: {error}")
    yield session
    session.stop()
