"""Posts, image features and social features to scores, one row per post, with any bundle.

A bundle's visual reduction is linear, so each family's values are projected where they lie and only the short
projections travel: for 4,710 values an image, 20 numbers per family go through the shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, reduce
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark import SparkFiles
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql import types as t
from pyspark.sql.pandas.functions import pandas_udf

from popspark.bundle import Bundle, load_bundle
from popspark.prediction import Predictor
from popspark.tables import SCORES

PROJECTION = t.ArrayType(t.DoubleType())
SCORE = t.StructType([t.StructField("score", t.DoubleType()), t.StructField("percentile", t.DoubleType())])
BATCH_ROWS = 1024
"""Rows per forward pass: Arrow batches, small for the sake of images, are put together up to this."""


@lru_cache(maxsize=2)
def _load_predictor(file: str) -> Predictor:
    """On an executor: the shipped bundle, kept per worker."""
    return Predictor(load_bundle(Path(SparkFiles.get(file))))


def _build_projection(file: str) -> Callable[..., Column]:
    def project(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        predictor = _load_predictor(file)
        for family, values in batches:
            result = np.full(len(family), None)
            for name in family.unique():
                rows = np.flatnonzero((family == name) & values.notna())
                if len(rows):
                    parts = predictor.project(name, np.stack(values.iloc[rows]))
                    for row, part in zip(rows, parts, strict=True):
                        result[row] = part
            yield pd.Series(result)

    return pandas_udf(project, PROJECTION)  # type: ignore[call-overload]


def _build_score(file: str) -> Callable[..., Column]:
    def score(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        import torch

        torch.set_num_threads(1)
        predictor = _load_predictor(file)
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
        scores = predictor.score(np.stack(visual.iloc[rows]), np.stack(social.iloc[rows]))
        result.iloc[rows, 0] = scores
        result.iloc[rows, 1] = predictor.bundle.percentile(scores)
    return result.astype(object).where(result.notna(), None)


def project_images(features: DataFrame, bundle: Bundle, file: str) -> DataFrame:
    """image_features to one row per image: image_id, visual (the summed projection or null), status, error.

    An image is refused with the first status, in the bundle's order of families, that is not `ok`; a family without a
    row of the bundle's version is `no_features`.
    """
    versions = bundle.feature_versions
    wanted = reduce(
        Column.__or__, ((f.col("family") == n) & (f.col("version") == v) for n, v in versions.items()), f.lit(False)
    )
    parts = features.where(wanted).withColumn("part", _build_projection(file)("family", "values"))

    def of_family(name: str, value: Column) -> Column:
        return f.max(f.when(f.col("family") == name, value))

    grouped = parts.groupBy("image_id").agg(
        *(of_family(n, f.col("part")).alias(f"part_{n}") for n in versions),
        *(of_family(n, f.struct("status", "error")).alias(f"state_{n}") for n in versions),
    )
    total = reduce(lambda a, b: f.zip_with(a, b, lambda x, y: x + y), (f.col(f"part_{n}") for n in versions))
    refusal = f.coalesce(
        *(
            f.when(
                f.col(f"part_{n}").isNull(),
                f.coalesce(
                    f"state_{n}", f.struct(f.lit("no_features").alias("status"), f.lit(f"no {n} {v}").alias("error"))
                ),
            )
            for n, v in versions.items()
        )
    )
    return grouped.select(
        "image_id",
        f.when(refusal.isNull(), total).alias("visual"),
        f.coalesce(refusal["status"], f.lit("ok")).alias("status"),
        refusal["error"].alias("error"),
    )


def score_posts(inputs: DataFrame, features: DataFrame, bundle: Bundle, file: str, run_id: str) -> DataFrame:
    """The scores table: exactly one row per row of `inputs`.

    inputs: post_id, posted_month, image_id, social, input_hash, as `scoring_inputs` makes them. features:
    image_features. file: the name under which the bundle was shipped, as a zip.
    """
    images = project_images(features, bundle, file)
    images = images.select("image_id", "visual", f.struct("status", "error").alias("image"))
    rows = inputs.join(images, "image_id", "left")
    status = (
        f.when(f.col("image_id").isNull(), f.lit("no_image"))
        .when(f.col("image").isNull(), f.lit("missing"))
        .otherwise(f.col("image.status"))
    )
    error = (
        f.when(f.col("image_id").isNull(), f.lit("the post has no image"))
        .when(f.col("image").isNull(), f.lit("there is no such image in the images or features table"))
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
