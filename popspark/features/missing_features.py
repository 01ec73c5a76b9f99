"""Features that are not stored yet, and only these, extracted."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from popspark.features.extraction import Extraction, extract_features, to_feature_rows
from popspark.features.plan import PlannedFamily
from popspark.features.stored_files import find_present, sha_key
from popspark.storage.tables import IMAGE_FEATURES
from popspark.storage.warehouse import no_rows

MAX_BROADCAST_IMAGES = 2_000_000
"""Most images whose keys are broadcast, some 50 MB; for more, Spark shuffles the images table instead."""
MAX_NAMED_FILES = 1000
"""Most files of the images table that are read by their names; where the images stand in more, all files are read.

Named, because Spark leaves files out by `_metadata.file_path` only where that is a filter right on the scan.
"""


def extract_missing(images: DataFrame, stored: DataFrame | None, extraction: Extraction) -> DataFrame:
    """image_features rows of all images, by family and version, that `stored` does not have for the same sha256.

    images, stored: the tables as they were read.
    """
    if stored is None:
        return to_feature_rows(extract_features(images, extraction), extraction.planned)
    return extract_wanted(images.select("image_id", "sha256"), images, stored, extraction, None)


def extract_wanted(
    wanted: DataFrame, images: DataFrame, stored: DataFrame | None, extraction: Extraction, ids: pa.Array | None
) -> DataFrame:
    """image_features rows of the images in `wanted` (image_id, sha256) that `stored` does not have, as above.

    images, stored: the tables as they were read. ids: of the wanted images, as `collect_ids` gives them.
    Families that the same images lack are extracted together, so each image is decoded once however much it lacks.
    """
    lacking = _find_lacking(wanted, stored, extraction.planned, ids)
    # Counted first: where nothing is lacking, as a rule, the bytes of no image are read.
    counts = {row["lacks"]: row["count"] for row in lacking.groupBy("lacks").count().collect()}
    extracted = []
    for lacks, n_images in sorted(counts.items()):
        planned = tuple(p for n, p in enumerate(extraction.planned) if lacks >> n & 1)
        taken = _take_images(images, lacking.where(f.col("lacks") == lacks), n_images)
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
    everything = f.lit((1 << len(planned)) - 1)
    if stored is None:
        return rows.withColumn("lacks", everything)
    present = find_present(stored, {p.name: p.version for p in planned}, ids)
    lacks = f.bitwise_not(f.coalesce("present", f.lit(0))).bitwiseAND(everything)
    rows = rows.join(present, ["image_id", "key"], "left")
    return rows.withColumn("lacks", lacks).drop("present").where("lacks <> 0")


def _hash(key: Column | str) -> Column:
    """A column with one number for an image's id and key, so that a broadcast of many stays small.

    Two images of one number do no harm: features are extracted of both, and one of them are not read.
    """
    return f.xxhash64("image_id", key).alias("id_hash")


def _take_images(images: DataFrame, lacking: DataFrame, n_lacking: int) -> DataFrame:
    """Rows of images for the n_lacking keys in `lacking`, read from the files that hold them.

    A night's new images stand in few of the table's files.
    """
    taken, id_hash = lacking.select(_hash("key")), _hash(sha_key())
    if n_lacking > MAX_BROADCAST_IMAGES:
        return images.withColumn("id_hash", id_hash).join(taken, "id_hash", "left_semi").drop("id_hash")
    if images.inputFiles():
        located = images.select(id_hash, f.col("_metadata.file_path").alias("file"))
        located = located.join(f.broadcast(taken), "id_hash", "left_semi").select("file").distinct()
        files = [unquote(row["file"]) for row in located.limit(MAX_NAMED_FILES + 1).collect()]
        if not files:  # as of posts whose images are missing
            return images.limit(0)
        if len(files) <= MAX_NAMED_FILES:
            images = images.sparkSession.read.schema(images.schema).parquet(*files)
    return images.withColumn("id_hash", id_hash).join(f.broadcast(taken), "id_hash", "left_semi").drop("id_hash")
