"""The images table as other rooms read it: popspark's index, or a table of one's own with a column of bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from popspark.images.decode import ImageRefused, decode
from popspark.images.limits import Limits
from popspark.images.references import Reference, references_of
from popspark.report.figures import thumbnail
from popspark.runtime.errors import SchemaError
from popspark.storage.tables import IMAGE_BLOBS, IMAGES
from popspark.storage.warehouse import read_table

BLOBS_AT_ONCE = 16
"""Rows of a table with a column of bytes that Spark's Parquet reader takes at once; 4,096 by default, which at 200 kB
fill a heap of 1 GB."""


def read_images(spark: SparkSession, path: str) -> DataFrame:
    """The images table. One that has the bytes themselves, `IMAGE_BLOBS`, is read as that.

    Such a table makes this session's reads of Parquet small. Raises as `read_table`.
    """
    try:
        blobs = read_table(spark, IMAGE_BLOBS, path)
    except SchemaError:
        return read_table(spark, IMAGES, path)
    repeated = blobs.groupBy("image_id").count().where("count > 1 AND image_id IS NOT NULL").limit(1).collect()
    if repeated:
        raise SchemaError(
            "An image_id stands more than once.",
            where=path,
            got=f"{repeated[0]['image_id']}, {repeated[0]['count']} times",
            legal="one row an image",
            fix="keep one of them, as by dropDuplicates(['image_id']) in a view or copy of the table",
        )
    spark.conf.set("spark.sql.parquet.columnarReaderBatchSize", str(BLOBS_AT_ONCE))
    return blobs


def reference(images: DataFrame) -> Column:
    """The struct column that `references_of` takes, from the columns of `IMAGES` or `IMAGE_BLOBS`.

    Of an image that was refused it has neither uri nor bytes, so nobody opens it again.
    """
    uri, content = (
        F.when(F.col("status") == "ok", F.col(name) if name in images.columns else F.lit(None)).cast(kind).alias(name)
        for name, kind in (("uri", "string"), ("content", "binary"))
    )
    return F.struct(uri, "sha256", "n_bytes", *([content] if "content" in images.columns else []))


def _thumbnail(image: Reference, limits: Limits) -> str | None:
    try:
        return thumbnail(decode(image.read(limits), limits))
    except ImageRefused:
        return None  # it was read once, so it was changed since


def thumbnails(images: DataFrame, limits: Limits) -> dict[str, str]:
    """Data URIs of small JPEGs by image_id, for the few images that a report shows; what cannot be read is absent."""

    def shrink(batches: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
        """Thumbnails, made where the images are; on executors."""
        for batch in batches:
            yield pd.Series([_thumbnail(image, limits) for image in references_of(batch)], dtype=object)

    small = pandas_udf(shrink, "string").asNondeterministic()  # type: ignore[call-overload]
    rows = images.where("status = 'ok'").select("image_id", small(reference(images)).alias("thumbnail")).collect()
    return {row["image_id"]: row["thumbnail"] for row in rows if row["thumbnail"] is not None}
