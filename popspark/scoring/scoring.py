"""Posts, image features and social features to scores, one row per post, with any bundle.

Features come as the parts that `popspark.features.projection` makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql import types as t

from popspark.features.stored_files import sha_key
from popspark.models.bundle import Bundle
from popspark.models.predictor import Predictor
from popspark.models.shipping import load_shipped
from popspark.storage.tables import SCORES

BATCH_ROWS = 1024
"""Rows per forward pass: Arrow batches, small for the sake of images, are put together up to this."""


def _gather_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, `BATCH_ROWS` or some more at a time."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(len(one) for one in waiting) >= BATCH_ROWS:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting = []
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def _add_scores(rows: DataFrame, archive_name: str) -> DataFrame:
    """rows with score and percentile in the place of visual and social; null where one of these is."""

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import torch

        torch.set_num_threads(1)
        predictor = load_shipped(archive_name)
        for batch in _gather_batches(batches):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            scores = _score_rows(predictor, columns.pop("visual"), columns.pop("social"))
            is_missing = ~np.isfinite(scores)  # of values beyond all measure: no score
            percentiles = predictor.bundle.percentile(scores)
            found = {"score": pa.array(scores, mask=is_missing), "percentile": pa.array(percentiles, mask=is_missing)}
            yield pa.RecordBatch.from_pydict({**columns, **found})

    kept = [field for field in rows.schema.fields if field.name not in ("visual", "social")]
    scored = [t.StructField(name, t.DoubleType()) for name in ("score", "percentile")]
    return rows.mapInArrow(score, t.StructType([*kept, *scored]))


def _score_rows(predictor: Predictor, visual: pa.Array, social: pa.Array) -> npt.NDArray[np.float64]:
    """Scores (N,), not a number where visual or social is null."""
    scores = np.full(len(visual), np.nan)
    rows = np.flatnonzero(pc.and_(visual.is_valid(), social.is_valid()))
    if len(rows):
        values = social.take(pa.array(rows)).flatten().to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            projected = sum_parts(visual.take(pa.array(rows)).to_pylist(), predictor.n_components)
            scores[rows] = predictor.score(projected, values.reshape(len(rows), -1))
    return scores


def sum_parts(blobs: Sequence[bytes], n_components: int) -> npt.NDArray[np.float64]:
    """Rows of one sum or of several parts each, as `gather_parts` makes them, to (N, k)."""
    lengths = np.array([len(blob) for blob in blobs])
    sums = np.empty((len(blobs), n_components))
    for length in np.unique(lengths):
        alike = lengths == length
        parts = np.frombuffer(b"".join(compress(blobs, alike))).reshape(np.count_nonzero(alike), -1, n_components)
        sums[alike] = parts.sum(axis=1)
    return sums


def gather_parts(parts: DataFrame, bundle: Bundle) -> DataFrame:
    """Parts to one row per image: image_id, sha256 as `sha_key`, visual, status, error.

    visual: the sum of the image's parts, or these one after the other, as bytes; null where it is refused. It is
    refused with the first status, in the bundle's order of families, that is not `ok`; a family without a row of the
    bundle's version is `no_features`.
    """
    versions = [f"{family} {version}" for family, version in bundle.feature_versions.items()]
    # Brought together before they are grouped: as a rule an image has one row, so grouping ahead of the shuffle would
    # sort in vain; and on the keys of the join with the inputs, which then needs no shuffle of its own. The number of
    # partitions is given, for Spark would choose it by their bytes, and what a forward pass takes is time.
    n_tasks = int(str(parts.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    together = parts.withColumn("sha256", sha_key()).repartition(n_tasks, "image_id", "sha256")
    found = f.struct("status", "error", "part")
    grouped = together.groupBy("image_id", "sha256").agg(
        f.max(f.when(f.col("place").isNull(), f.col("part"))).alias("whole"),
        *(f.max(f.when(f.col("place") == place, found)).alias(f"family_{place}") for place in range(len(versions))),
    )

    def refusal(place: int) -> Column:
        family = f.col(f"family_{place}")
        absent = f.struct(f.lit("no_features").alias("status"), f.lit(f"no {versions[place]}").alias("error"))
        refused = f.struct(family["status"].alias("status"), family["error"].alias("error"))
        return f.when(family.isNull(), absent).when(family["status"] != "ok", refused)

    places = range(len(versions))
    refused = f.when(f.col("whole").isNull(), f.coalesce(*(refusal(place) for place in places)))
    joined = f.coalesce("whole", f.concat(*(f.col(f"family_{place}.part") for place in places)))
    return grouped.select(
        "image_id",
        "sha256",
        f.when(refused.isNull(), joined).alias("visual"),
        f.coalesce(refused["status"], f.lit("ok")).alias("status"),
        refused["error"].alias("error"),
    )


def score_posts(inputs: DataFrame, parts: DataFrame, bundle: Bundle, run_id: str) -> DataFrame:
    """The scores table: exactly one row per row of `inputs`.

    inputs: post_id, posted_month, image_id, sha256, social, input_hash, as `scoring_inputs` makes them. parts: of
    the bundle's families, of which those made from the images' present bytes are read. The bundle was shipped.
    """
    images = gather_parts(parts, bundle)
    images = images.select("image_id", "sha256", "visual", f.struct("status", "error").alias("image"))
    # The hint, for what comes from files has no size that Spark could know, and must not be broadcast.
    rows = inputs.withColumn("sha256", sha_key()).join(images.hint("merge"), ["image_id", "sha256"], "left")
    is_failed = (f.col("image.status") == "ok") & f.col("score").isNull()
    status = (
        f.when(f.col("image_id").isNull(), f.lit("no_image"))
        .when(f.col("image").isNull(), f.lit("missing"))
        .when(is_failed, f.lit("failed"))
        .otherwise(f.col("image.status"))
    )
    error = (
        f.when(f.col("image_id").isNull(), f.lit("the post has no image"))
        .when(f.col("image").isNull(), f.lit("there is no such image in the images or features table"))
        .when(is_failed, f.lit("the score is not finite"))
        .otherwise(f.col("image.error"))
    )
    # A fixed order within each partition keeps each row's place in its batch, and so the last bit of its score.
    taken = rows.select("post_id", "posted_month", "image_id", "input_hash", "image", "visual", "social")
    scored = _add_scores(taken.sortWithinPartitions("post_id"), bundle.archive_name)
    return scored.select(
        "post_id",
        "score",
        "percentile",
        f.lit(bundle.name).alias("model_name"),
        f.lit(bundle.version).alias("model_version"),
        status.alias("status"),
        error.alias("error"),
        f.current_timestamp().alias("scored_at"),
        "input_hash",
        f.lit(run_id).alias("run_id"),
        "posted_month",
    ).select(*SCORES.columns)
