"""Bundles on the workers: shipped once a session as a zip, loaded once a worker."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pyspark import SparkFiles
from pyspark.sql import SparkSession

from popspark.models.bundle import Bundle, load_bundle, zip_bundle
from popspark.models.predictor import Predictor
from popspark.runtime.scratch import scratch_folder
from popspark.runtime.session import ship_file


def ship_bundle(spark: SparkSession, bundle: Bundle) -> None:
    """Sends a bundle that was loaded to the workers, without its trunk, which travels as a family's weights."""
    archive = scratch_folder() / bundle.archive_name
    archive.write_bytes(zip_bundle(bundle))
    ship_file(spark, archive)


@lru_cache(maxsize=8)
def load_shipped(archive_name: str) -> Predictor:
    """The predictor of the bundle shipped under that `Bundle.archive_name`, kept per worker; on executors."""
    return Predictor(load_bundle(Path(SparkFiles.get(archive_name))))
