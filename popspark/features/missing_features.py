"""Features that are not stored yet, and only these, extracted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from popspark.features.extraction import Extraction, extract_features, to_feature_rows
from popspark.features.plan import PlannedFamily
from popspark.features.stored_files import find_present, sha_key
from popspark.runtime.session import n_cores, spread
from popspark.storage.tables import IMAGE_FEATURES
from popspark.storage.warehouse import no_rows

ROUND_TASKS = 8
"""Of each core, between two commits of a long extraction."""
IMAGES_PER_TASK, MIN_TASKS = 250, 16
"""Of images that a task reads and computes: what is lost with it takes a minute or two. Fewer go to all cores."""
FEW = 64
"""Images that are dealt to tasks in turn. Of more, a hash of the id does as well, and Spark sorts no bytes for it."""


def extract_missing(images: DataFrame, stored: DataFrame | None, extraction: Extraction) -> DataFrame:
    """image_features rows of all images, by family and version, that `stored` does not have for the same sha256.

    images, stored: the tables as they were read.
    """
    return extract_wanted(images.select("image_id", "sha256"), images, stored, extraction, None)


def extract_wanted(
    wanted: DataFrame, images: DataFrame, stored: DataFrame | None, extraction: Extraction, ids: pa.Array | None
) -> DataFrame:
    """image_features rows of the images in `wanted` (image_id, sha256) that `stored` does not have, as above.

    images, stored: the tables as they were read. ids: of the wanted images, as `collect_ids` gives them.
    Families that the same images lack are extracted together, so each image is decoded once however much it lacks.
    """
    return _extract(_find_lacking(wanted, stored, extraction.planned, ids), images, extraction)


def extract_rounds(images: DataFrame, stored: DataFrame | None, extraction: Extraction) -> Iterator[DataFrame]:
    """The rows of `extract_missing` in rounds of some minutes of all cores, which can be written one by one.

    Nothing where nothing is lacking.
    """
    wanted = images.select("image_id", "sha256")
    lacking = _find_lacking(wanted, stored, extraction.planned, None).persist()
    n_rounds = -(-lacking.count() // (ROUND_TASKS * IMAGES_PER_TASK * n_cores(images.sparkSession)))
    for number in range(n_rounds):
        own = F.pmod(F.xxhash64("image_id"), F.lit(n_rounds)) == number
        yield _extract(lacking.where(own) if n_rounds > 1 else lacking, images, extraction)
    lacking.unpersist()


def _extract(lacking: DataFrame, images: DataFrame, extraction: Extraction) -> DataFrame:
    # Counted first, for the number of tasks; where nothing is lacking, as a rule, there are none.
    counts = {row["lacks"]: row["count"] for row in lacking.groupBy("lacks").count().collect()}
    extracted = []
    for lacks, n_images in sorted(counts.items()):
        planned = tuple(p for n, p in enumerate(extraction.planned) if lacks >> n & 1)
        keys = lacking.where(F.col("lacks") == lacks).select("image_id", "key")
        taken = images.withColumn("key", sha_key()).join(keys, ["image_id", "key"], "left_semi").drop("key")
        n_tasks = max(-(-n_images // IMAGES_PER_TASK), min(n_images, MIN_TASKS))
        taken = spread(taken, n_tasks, *(["image_id"] if n_images > FEW else []))
        extracted.append(to_feature_rows(extract_features(taken, replace(extraction, planned=planned)), planned))
    if not extracted:
        return no_rows(images.sparkSession, IMAGE_FEATURES)
    return reduce(DataFrame.unionByName, extracted)


def _find_lacking(
    wanted: DataFrame, stored: DataFrame | None, planned: tuple[PlannedFamily, ...], ids: pa.Array | None
) -> DataFrame:
    """Wanted images of which some family is not stored: image_id, key and `lacks`, a number as a set of families.

    Its bit n is set where the n-th of the families is not stored.
    """
    rows = wanted.where("image_id IS NOT NULL").select("image_id", sha_key().alias("key"))
    everything = F.lit((1 << len(planned)) - 1)
    if stored is None:
        return rows.withColumn("lacks", everything)
    present = find_present(stored, {p.name: p.version for p in planned}, ids)
    lacks = F.bitwise_not(F.coalesce("present", F.lit(0))).bitwiseAND(everything)
    rows = rows.join(present, ["image_id", "key"], "left")
    return rows.withColumn("lacks", lacks).drop("present").where("lacks <> 0")
