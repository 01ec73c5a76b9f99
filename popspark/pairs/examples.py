"""Pairs of posts to pairs of thumbnails: the table that a ranker is trained on.

pairs, images -> `make_thumbnails` -> `judge_pairs` (whether a ranker can learn from each) -> `join_pair_examples`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import pandas_udf

from popspark.images import decode as codecs
from popspark.images.limits import Limits
from popspark.images.references import Reference, references_of
from popspark.images.table import reference
from popspark.pairs.settings import PairLimits
from popspark.runtime.queries import load_sql
from popspark.runtime.session import spread
from popspark.storage.tables import PAIR_EXAMPLES, THUMBNAILS

SHRUNK = T.StructType([T.StructField(n, THUMBNAILS.columns[n]) for n in ("thumbnail", "brightness", "status", "error")])
N_TASKS = 64
"""That make thumbnails: a few bytes a row, and a long time."""
PAIRS_PER_FILE = 4000
"""Of pair_examples: some 150 MB."""


def _shrink(found: Reference, limits: Limits) -> dict[str, Any]:
    try:
        image = codecs.decode(found.read(limits), limits)
    except codecs.ImageRefused as refusal:
        return {"status": refusal.status, "error": str(refusal)}
    return {"thumbnail": codecs.shrink(image), "brightness": float(image.mean() / 255), "status": "ok", "error": None}


def _build_shrink(limits: Limits) -> Callable[..., Column]:
    def shrink(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        """Thumbnails, each with its status; on executors."""
        for batch in batches:
            yield pd.DataFrame([_shrink(image, limits) for image in references_of(batch)], columns=SHRUNK.names)

    return pandas_udf(shrink, SHRUNK).asNondeterministic()  # type: ignore[call-overload]


def make_thumbnails(images: DataFrame, pairs: DataFrame, posts: DataFrame, limits: Limits) -> DataFrame:
    """`popspark.storage.tables.THUMBNAILS` of the images that stand in a pair. Worth writing: it is read several times.

    posts: pair_posts. An image that ingest refused keeps its status.
    """
    in_pairs = pairs.select(F.explode(F.array("post_id_l", "post_id_r")).alias("post_id"))
    wanted = posts.where("removed_by IS NULL").join(in_pairs, "post_id", "left_semi").select("image_id").distinct()
    found = images.join(wanted, "image_id", "left_semi")
    good = found.where("status = 'ok'")
    good = spread(good, N_TASKS, "image_id").withColumn("small", _build_shrink(limits)(reference(good)))
    refused = found.where("status <> 'ok'").withColumns(
        {name: F.lit(None).cast(THUMBNAILS.columns[name]) for name in ("thumbnail", "brightness")}
    )
    rows = good.select("image_id", "sha256", "n_bytes", "small.*")
    return rows.select(*THUMBNAILS.columns).unionByName(refused.select(*THUMBNAILS.columns))


def judge_pairs(pairs: DataFrame, posts: DataFrame, thumbnails: DataFrame, seed: int) -> DataFrame:
    """One row per pair, with its status: see `judged_pairs.sql`. posts: pair_posts."""
    small = thumbnails.drop("thumbnail")
    args = {"seed": seed}
    return pairs.sparkSession.sql(
        load_sql(__package__, "judged_pairs"), args=args, pairs=pairs, posts=posts, thumbnails=small
    )


def join_pair_examples(judged: DataFrame, thumbnails: DataFrame, limits: PairLimits, seed: int) -> DataFrame:
    """`popspark.storage.tables.PAIR_EXAMPLES`, in a random order that is the same every time."""
    args = {"seed": seed, **limits.model_dump()}
    rows = judged.sparkSession.sql(
        load_sql(__package__, "pair_examples"), args=args, pairs=judged, thumbnails=thumbnails
    )
    draw = F.xxhash64("post_id_r", "post_id_l", F.lit(seed))
    n_files = max(1, -(-judged.where("status = 'ok'").count() // PAIRS_PER_FILE))
    return rows.repartition(n_files, draw).sortWithinPartitions("split", draw).select(*PAIR_EXAMPLES.columns)
