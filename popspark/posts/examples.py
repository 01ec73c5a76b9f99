"""Posts with features, labels and splits to examples: the training table, all that passes from Spark to torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from popspark.features.extraction import current_features
from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.posts.labels import check_labels, popularity_labels
from popspark.posts.settings import LabelSettings, SocialMode, SplitSettings
from popspark.posts.social import count_unknown, social_features
from popspark.posts.splits import assign_splits
from popspark.runtime.errors import DataError
from popspark.storage.examples import (
    ExamplesRecord,
    FamilyRecord,
    LabelRecord,
    SocialRecord,
    SplitCounts,
    SplitRecord,
)
from popspark.storage.schemas.table import FLOATS
from popspark.storage.social_values import SOCIAL_NAMES
from popspark.storage.tables import EXAMPLES
from popspark.storage.warehouse import count_by_status
from popspark.storage.writing import begin


def write_examples(
    posts: DataFrame,
    images: DataFrame,
    stored_features: DataFrame,
    path: str,
    *,
    run_id: str | None = None,
    features: FeatureSettings,
    social_mode: SocialMode,
    label: LabelSettings,
    split: SplitSettings,
) -> ExamplesRecord:
    """Writes examples, and beside it their record, which it returns.

    Raises `DataError` where no post has a label, before anything is computed, or can be learned from, and `LeakError`
    where the split leaks, before anything is written.
    """
    check_labels(posts, label.rule, **label.options)
    planned = plan_features(features)
    rows = join_examples(
        posts,
        current_features(images, stored_features, planned),
        social_features(posts.sparkSession, posts, social_mode),
        popularity_labels(posts, label.rule, **label.options),
        assign_splits(
            posts, split.strategy, split.seed, images=images, feature_mode=social_mode, group_by=split.group_by
        ),
        {family.name: family.version for family in planned},
    ).persist()
    learned = rows.where("status = 'ok'")
    counts, label_counts = count_by_status(rows), count_by_status(rows, "label_status")
    if not counts.get("ok"):
        raise DataError(
            "No post can be learned from.", where=path, got=", ".join(f"{s} {n:,}" for s, n in counts.items())
        )
    record = ExamplesRecord(
        features=tuple(
            FamilyRecord(name=p.name, version=p.version, dim=p.family.dim, weights=p.weights) for p in planned
        ),
        feature_settings=features.model_dump(mode="json"),
        social=SocialRecord(mode=social_mode, names=SOCIAL_NAMES),
        label=LabelRecord(**label.model_dump()),
        split=SplitRecord(**split.model_dump()),
        is_simulated=posts.where("is_simulated").limit(1).count() > 0,
        rows=counts,
        labels=label_counts,
        splits=describe_splits(learned),
        unknown_inputs=count_unknown(posts.sparkSession, posts),
    )
    with begin(posts.sparkSession, EXAMPLES, path, run_id) as writing:
        writing.stage(learned)
        ExamplesRecord.delete(path)
        writing.commit()
    record.save(path)
    rows.unpersist()
    return record


def join_examples(
    posts: DataFrame,
    features: DataFrame,
    social: DataFrame,
    labels: DataFrame,
    splits: DataFrame,
    versions: Mapping[str, str],
) -> DataFrame:
    """One row per post: the columns of examples; image_id; `status`: `ok`, or why it cannot be learned from;
    `label_status`.

    versions: by family, in the order in which the values stand in `visual`.
    """
    rows = posts.select("post_id", "user_id", "image_id")
    for name, version in versions.items():
        family = features.where((F.col("family") == name) & (F.col("version") == version))
        values = F.when(F.col("status") == "ok", F.col("values")).alias(name)
        rows = rows.join(family.select("image_id", values), "image_id", "left")
    label_status = F.col("status").alias("label_status")
    rows = (
        rows.join(social.select("post_id", F.array(*SOCIAL_NAMES).cast(FLOATS).alias("social")), "post_id", "left")
        .join(labels.select("post_id", F.col("label").cast("float"), label_status), "post_id", "left")
        .join(splits.select("post_id", "split"), "post_id", "left")
    )
    no_visual = reduce(Column.__or__, (F.col(name).isNull() for name in versions), F.lit(False))
    status = (
        F.when(F.col("image_id").isNull(), "no_image")
        .when(no_visual, "no_features")
        .when(F.col("social").isNull(), "no_social_features")
        .when(F.col("label").isNull(), F.coalesce("label_status", F.lit("missing_label")))
        .when(F.col("split").isNull(), "no_split")
        .otherwise("ok")
    )
    visual = F.when(~no_visual, F.concat(*versions)).otherwise(F.array().cast(FLOATS))
    return (
        rows.withColumn("status", status)
        .withColumn("visual", visual)
        .select(*EXAMPLES.columns, "image_id", "status", "label_status")
    )


def describe_splits(learned: DataFrame) -> dict[str, SplitCounts]:
    """By split: how many posts, of how many images, and the mean of their labels. learned: of `join_examples`."""
    found = learned.groupBy("split").agg(
        F.count("*").alias("posts"), F.count_distinct("image_id").alias("images"), F.avg("label").alias("mean_label")
    )
    return {
        row["split"]: SplitCounts(posts=row["posts"], images=row["images"], mean_label=row["mean_label"])
        for row in found.collect()
    }
