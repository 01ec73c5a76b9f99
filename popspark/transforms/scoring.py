"""Posts, image features and social features to scores, one row per post, with any bundle.

Features come as the parts that `popspark.transforms.projection` makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql import types as t
from pyspark.sql.pandas.functions import pandas_udf

from popspark.bundle import Bundle
from popspark.prediction import Predictor
from popspark.tables import SCORES
from popspark.transforms.extraction import sha_key
from popspark.transforms.projection import load_predictor

SCORE = t.StructType([t.StructField("score", t.DoubleType()), t.StructField("percentile", t.DoubleType())])
BATCH_ROWS = 1024
"""Rows per forward pass: Arrow batches, small for the sake of images, are put together up to this."""


def _build_score(file: str) -> Callable[..., Column]:
    def score(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        import torch

        torch.set_num_threads(1)
        predictor = load_predictor(file)
        waiting: list[tuple[pd.Series, pd.Series]] = []
        n_waiting = 0
        for batch in batches:
            waiting.append(batch)
            n_waiting += len(batch[0])
            if n_waiting >= BATCH_ROWS:
                yield _score_rows(predictor, waiting)
                waiting, n_waiting = [], 0
        if waiting:
            yield _score_rows(predictor, waiting)

    return pandas_udf(score, SCORE)  # type: ignore[call-overload]


def _score_rows(predictor: Predictor, batches: list[tuple[pd.Series, pd.Series]]) -> pd.DataFrame:
    visual, social = (pd.concat(parts, ignore_index=True) for parts in zip(*batches, strict=True))
    result = pd.DataFrame(np.nan, index=range(len(visual)), columns=SCORE.names)
    rows = np.flatnonzero(visual.notna() & social.notna())
    if len(rows):
        n_parts = len(predictor.bundle.feature_versions)
        parts = np.frombuffer(b"".join(visual.iloc[rows])).reshape(len(rows), n_parts, -1)
        with np.errstate(invalid="ignore"):
            scores = predictor.score(sum(parts.swapaxes(0, 1)), np.stack(social.iloc[rows]))
        scores[~np.isfinite(scores)] = np.nan  # of values beyond all measure: no score
        result.iloc[rows, 0] = scores
        result.iloc[rows, 1] = predictor.bundle.percentile(scores)
    return result.astype(object).where(result.notna(), None)


def gather_parts(parts: DataFrame, bundle: Bundle) -> DataFrame:
    """Parts to one row per image: image_id, sha256 as `sha_key`, visual (its parts in a row, or null), status, error.

    An image is refused with the first status, in the bundle's order of families, that is not `ok`; a family without a
    row of the bundle's version is `no_features`.
    """
    versions = [f"{family} {version}" for family, version in bundle.feature_versions.items()]
    found = f.struct("status", "error", "part")
    # Brought together before they are grouped: there is one part per family, so grouping ahead of the shuffle would
    # sort in vain; and on the keys of the join with the inputs, which then needs no shuffle of its own.
    together = parts.withColumn("sha256", sha_key()).repartition("image_id", "sha256")
    grouped = together.groupBy("image_id", "sha256").agg(
        *(f.max(f.when(f.col("place") == place, found)).alias(f"family_{place}") for place in range(len(versions)))
    )

    def refusal(place: int) -> Column:
        family = f.col(f"family_{place}")
        absent = f.struct(f.lit("no_features").alias("status"), f.lit(f"no {versions[place]}").alias("error"))
        refused = f.struct(family["status"].alias("status"), family["error"].alias("error"))
        return f.when(family.isNull(), absent).when(family["status"] != "ok", refused)

    places = range(len(versions))
    refused = f.coalesce(*(refusal(place) for place in places))
    return grouped.select(
        "image_id",
        "sha256",
        f.when(refused.isNull(), f.concat(*(f.col(f"family_{place}.part") for place in places))).alias("visual"),
        f.coalesce(refused["status"], f.lit("ok")).alias("status"),
        refused["error"].alias("error"),
    )


def score_posts(inputs: DataFrame, parts: DataFrame, bundle: Bundle, file: str, run_id: str) -> DataFrame:
    """The scores table: exactly one row per row of `inputs`.

    inputs: post_id, posted_month, image_id, sha256, social, input_hash, as `scoring_inputs` makes them. parts: of
    the bundle's families, of which those made from the images' present bytes are read. file: the name under which the
    bundle was shipped, as a zip.
    """
    images = gather_parts(parts, bundle)
    images = images.select("image_id", "sha256", "visual", f.struct("status", "error").alias("image"))
    rows = inputs.withColumn("sha256", sha_key()).join(images, ["image_id", "sha256"], "left")
    is_failed = (f.col("image.status") == "ok") & f.col("scored.score").isNull()
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
    scored = rows.sortWithinPartitions("post_id").withColumn("scored", _build_score(file)("visual", "social"))
    return scored.select(
        "post_id",
        "scored.score",
        "scored.percentile",
        f.lit(bundle.name).alias("model_name"),
        f.lit(bundle.version).alias("model_version"),
        status.alias("status"),
        error.alias("error"),
        f.current_timestamp().alias("scored_at"),
        "input_hash",
        f.lit(run_id).alias("run_id"),
        "posted_month",
    ).select(*SCORES.columns)
