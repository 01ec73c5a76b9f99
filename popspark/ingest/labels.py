"""Labels that stand in a file of their own, each of a post by its id."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from popspark.ingest import values
from popspark.ingest.mapping import ColumnMapping


def with_labels(posts: DataFrame, labels: DataFrame, mapping: ColumnMapping, is_raw_kept: bool) -> DataFrame:
    """Parsed posts with `popularity`, and as rejects the labels that no post takes.

    A label without an id or a number is `unreadable_label`; the first label of a post counts, further ones are
    `duplicate_label`; one of no post, or of a rejected row, is `label_without_post`.

    labels: rows of a table, see `popspark.ingest.origins.table`. is_raw_kept: else a reject's text is only what the
    mapping names of it, since the rest may name users.
    """

    def text(name: str) -> Column:
        return F.col("fields")[mapping.fields[name].column]

    post_id = values.identifier(text("post_id"))
    number = values.number(text("popularity"), mapping.fields["popularity"].decimal)
    is_unreadable = F.col("fault").isNotNull() | post_id.isNull() | number.isNull()
    named = F.coalesce(F.concat_ws(" ", text("post_id"), text("popularity")), F.lit(""))
    place = F.struct(F.col("file"), F.col("line"), F.col("nth"))
    found = labels.select(
        place.alias("label_place"),
        (F.col("raw") if is_raw_kept else named).alias("label_raw"),
        F.when(~is_unreadable, post_id).alias("label_post_id"),
        F.when(~is_unreadable, number).alias("label"),
    )
    nth = F.row_number().over(Window.partitionBy("label_post_id").orderBy("label_place"))
    reason = values.first_reason(
        (F.col("label_post_id").isNull(), "unreadable_label"), (F.col("nth_of_post") > 1, "duplicate_label")
    )
    found = found.withColumn("nth_of_post", nth).withColumn("label_reason", reason)
    joined = posts.join(
        found,
        posts["reason"].isNull() & found["label_reason"].isNull() & (posts["post_id"] == found["label_post_id"]),
        "full_outer",
    )
    is_label = F.col("file").isNull()
    why = F.when(is_label, F.coalesce("label_reason", F.lit("label_without_post"))).otherwise(F.col("reason"))
    return joined.withColumns(
        {
            "reason": why,
            **{name: F.coalesce(name, F.col("label_place")[name]) for name in ("file", "line", "nth")},
            "raw": F.coalesce("raw", "label_raw"),
            "popularity": F.col("label"),
        }
    ).drop(*found.columns)
