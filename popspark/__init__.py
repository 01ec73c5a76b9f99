"""popspark: popularity of image posts, scored in batches on Spark, and the training of the models that do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__version__ = "0.1.0"


def tables(spark: SparkSession, warehouse: str) -> dict[str, DataFrame]:
    """The tables of a warehouse, each also a temporary view of its name: `scores`, `posts`, `images` and so on.

    warehouse: a folder or url, or `table:CATALOG.SCHEMA`. What is read stays the version of now.
    """
    from popspark.storage.warehouse import register_tables

    return register_tables(spark, warehouse)
