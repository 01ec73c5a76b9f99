"""What each post's score is made from, as one row with a hash; and which of the stored scores it still matches."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.models.bundle import Bundle
from popspark.storage.social_values import SOCIAL_NAMES
from popspark.storage.tables import POSTS

SOCIAL = t.ArrayType(t.DoubleType())
UNKNOWN_MONTH = "unknown"


def posts_of_images(images: DataFrame) -> DataFrame:
    """Each image as a post of which nothing else is known: rows of posts, post_id and image_id the same."""
    known = {
        "post_id": F.col("image_id"),
        "image_id": F.col("image_id"),
        "user_id": F.lit("unknown"),
        "origin": F.lit("images"),
        "is_simulated": F.lit(False),
    }
    columns = (known.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in POSTS.columns.items())
    return images.select(*columns)


def latest_rows(posts: DataFrame) -> DataFrame:
    """Of several rows of a post the one collected last, with n_rows, how many there were; rows without a post_id
    become one row without.
    """
    of_post = Window.partitionBy("post_id")
    order = of_post.orderBy(F.desc_nulls_last("collected_at"), F.desc_nulls_last("image_id"))
    numbered = posts.withColumn("position", F.row_number().over(order)).withColumn("n_rows", F.count("*").over(of_post))
    return numbered.where("position = 1").drop("position")


def scoring_inputs(posts: DataFrame, images: DataFrame, social: DataFrame | None, bundle: Bundle) -> DataFrame:
    """One row per post_id: post_id, posted_at, posted_month, image_id, sha256, social, input_hash, n_rows.

    Rows of a post and rows without a post_id as in `latest_rows`. social: social_features of all posts, None for a
    model that needs none. input_hash: of the image's id, bytes and status, the social values and the bundle's files.
    """
    month = F.coalesce(F.date_format(_posted_day(), "yyyy-MM"), F.lit(UNKNOWN_MONTH)).alias("posted_month")
    rows = latest_rows(posts).select("post_id", "posted_at", month, "image_id", "n_rows")
    rows = rows.join(images.select("image_id", "sha256", F.col("status").alias("image_status")), "image_id", "left")
    if social is None:
        rows = rows.withColumn("social", F.array().cast(SOCIAL))
    else:
        vector = F.array(*SOCIAL_NAMES).cast(SOCIAL).alias("social")
        rows = rows.join(social.select("post_id", vector), "post_id", "left")
    # A null leaves xxhash64 as it is, and would move the next value into its place.
    texts = (F.coalesce(name, F.lit("\0")) for name in ("image_id", "sha256", "image_status"))
    return rows.withColumn("input_hash", F.xxhash64(*texts, "social", F.lit(bundle.fingerprint)))


def _posted_day() -> Column:
    """The day of posted_at in UTC, whatever the session's zone."""
    return F.date_from_unix_date(F.floor(F.unix_seconds("posted_at") / 86400).cast("int"))


def _in_range(posted_from: date | None, posted_to: date | None) -> Column:
    """Whether a post was posted on one of these days (UTC), both included; a post without a time only if neither is."""
    result = F.lit(True)
    if posted_from:
        result &= _posted_day() >= F.lit(posted_from)
    if posted_to:
        result &= _posted_day() <= F.lit(posted_to)
    return F.coalesce(result, F.lit(False))


def compare_inputs(
    inputs: DataFrame,
    stored: DataFrame | None,
    bundle: Bundle,
    is_full: bool,
    posted_from: date | None,
    posted_to: date | None,
) -> DataFrame:
    """The inputs, and the stored rows of posts that are no more, with a column `change` and `stored_month`.

    | change | the row |
    |---|---|
    | `new`, `changed` | is to be scored; `changed` replaces a stored row, in slice stored_month |
    | `unchanged` | stands in the table with this slice, model and input_hash |
    | `gone` | stands in the table, but not in posts, and is to be removed |
    | `outside` | was posted on other days: neither looked at nor touched |
    """
    keys = ("posted_month", "model_name", "model_version", "input_hash")
    mine = {"model_name": F.lit(bundle.name), "model_version": F.lit(bundle.version)}
    new = F.struct(*(mine.get(key, F.col(key)).alias(key) for key in keys))
    rows = inputs.withColumn("new", new)
    if stored is None:
        rows = rows.withColumns({"stored_month": F.lit(None).cast("string"), "old": F.when(F.lit(False), F.col("new"))})
    else:
        old = stored.select("post_id", F.col("posted_month").alias("stored_month"), F.struct(*keys).alias("old"))
        rows = rows.join(old, "post_id", "full_outer")
    is_backfill = F.lit(posted_from is not None or posted_to is not None)
    change = (
        F.when(F.col("n_rows").isNull(), F.when(is_backfill, "outside").otherwise("gone"))
        .when(~_in_range(posted_from, posted_to), "outside")
        .when(F.col("old").isNull(), "new")
        .when(F.lit(not is_full) & (F.col("old") == F.col("new")), "unchanged")
        .otherwise("changed")
    )
    return rows.withColumn("change", change).drop("old", "new")
