"""Posts with features, labels and splits to examples: the training table, all that passes from Spark to torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from popspark.tables import EXAMPLES, FLOATS, SOCIAL_NAMES


def join_examples(
    posts: DataFrame,
    features: DataFrame,
    social: DataFrame,
    labels: DataFrame,
    splits: DataFrame,
    versions: Mapping[str, str],
) -> DataFrame:
    """One row per post: the columns of examples, and `status`: `ok`, or why the post cannot be learned from.

    versions: by family, in the order in which the values stand in `visual`.
    """
    rows = posts.select("post_id", "user_id", "image_id")
    for name, version in versions.items():
        family = features.where((f.col("family") == name) & (f.col("version") == version))
        values = f.when(f.col("status") == "ok", f.col("values")).alias(name)
        rows = rows.join(family.select("image_id", values), "image_id", "left")
    rows = (
        rows.join(social.select("post_id", f.array(*SOCIAL_NAMES).cast(FLOATS).alias("social")), "post_id", "left")
        .join(labels.select("post_id", f.col("label").cast("float"), f.col("status").alias("why")), "post_id", "left")
        .join(splits.select("post_id", "split"), "post_id", "left")
    )
    no_visual = reduce(Column.__or__, (f.col(name).isNull() for name in versions), f.lit(False))
    status = (
        f.when(f.col("image_id").isNull(), "no_image")
        .when(no_visual, "no_features")
        .when(f.col("social").isNull(), "no_social_features")
        .when(f.col("label").isNull(), f.coalesce("why", f.lit("missing_label")))
        .when(f.col("split").isNull(), "no_split")
        .otherwise("ok")
    )
    visual = f.when(~no_visual, f.concat(*versions)).otherwise(f.array().cast(FLOATS))
    return rows.withColumn("status", status).withColumn("visual", visual).select(*EXAMPLES.columns, "status")
