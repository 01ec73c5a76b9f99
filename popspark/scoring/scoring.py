"""Posts, image features and social features to scores, one row per post, with any bundle.

Features come from `popspark.features.door`, projected: a few numbers an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.features.projection import sum_projections
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
        """Rows with their scores; on executors."""
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
            projected = sum_projections(visual.take(pa.array(rows)).to_pylist(), predictor.n_components)
            scores[rows] = predictor.score(projected, values.reshape(len(rows), -1))
    return scores


def score_posts(inputs: DataFrame, features: DataFrame, bundle: Bundle, run_id: str) -> DataFrame:
    """The scores table: exactly one row per row of `inputs`.

    inputs: post_id, posted_month, image_id, sha256, social, input_hash, as `scoring_inputs` makes them. features: of
    their images, as `features_for` makes them; those made from other bytes than the images' present ones are not read.
    The bundle was shipped.
    """
    images = features.select("image_id", "sha256", "visual", F.struct("status", "error").alias("image"))
    # The hint, for what comes from files has no size that Spark could know, and must not be broadcast.
    rows = inputs.withColumn("sha256", sha_key()).join(images.hint("merge"), ["image_id", "sha256"], "left")
    is_failed = (F.col("image.status") == "ok") & F.col("score").isNull()
    status = (
        F.when(F.col("image_id").isNull(), F.lit("no_image"))
        .when(F.col("image").isNull(), F.lit("missing"))
        .when(is_failed, F.lit("failed"))
        .otherwise(F.col("image.status"))
    )
    error = (
        F.when(F.col("image_id").isNull(), F.lit("the post has no image"))
        .when(F.col("image").isNull(), F.lit("there is no such image in the images or features table"))
        .when(is_failed, F.lit("the score is not finite"))
        .otherwise(F.col("image.error"))
    )
    # A fixed order within each partition keeps each row's position in its batch, and so the last bit of its score.
    taken = rows.select("post_id", "posted_month", "image_id", "input_hash", "image", "visual", "social")
    scored = _add_scores(taken.sortWithinPartitions("post_id"), bundle.archive_name)
    return scored.select(
        "post_id",
        "score",
        "percentile",
        F.lit(bundle.name).alias("model_name"),
        F.lit(bundle.version).alias("model_version"),
        status.alias("status"),
        error.alias("error"),
        F.current_timestamp().alias("scored_at"),
        "input_hash",
        F.lit(run_id).alias("run_id"),
        "posted_month",
    ).select(*SCORES.columns)
