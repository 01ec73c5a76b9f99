"""Image features projected by a bundle's visual reduction, family by family, and put together image by image.

The reduction is linear, so each family's values can be projected alone and only the short projections travel: for 1,894
values of an image, 20 numbers per family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from popspark.features.stored_files import Mask, sha_key
from popspark.models.bundle import Bundle
from popspark.models.predictor import Predictor
from popspark.models.shipping import load_shipped
from popspark.runtime.session import shuffle_partitions

Projections = npt.NDArray[np.float64]
PROJECTION_ROWS = "image_id string, sha256 string, family_index int, projection binary, status string, error string"
"""A row an image and family. family_index: of the family in the bundle; null where the row has the sum of all of them,
and all are `ok`. projection: k float64 values as bytes, which nothing on their way takes apart; null where the status
is not `ok`.
"""


def project_features(features: DataFrame, bundle: Bundle) -> DataFrame:
    """Rows of image_features, as Spark has them, to `PROJECTION_ROWS`: those of the bundle's families and versions.

    The bundle was shipped.
    """
    versions = [f"{family} {version}" for family, version in bundle.feature_versions.items()]
    current = F.col("family").isin(list(bundle.feature_versions)) & F.concat_ws(" ", "family", "version").isin(versions)
    archive_name = bundle.archive_name
    rows = features.where(current).select("image_id", "sha256", "family", "values", "status", "error")

    def project(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """`PROJECTION_ROWS` of rows of image_features; on executors."""
        predictor = load_shipped(archive_name)
        for batch in batches:
            of_batch = set(batch.column("family").unique().to_pylist())
            for n, family in enumerate(predictor.bundle.feature_versions):
                if family in of_batch:  # a filter copies all values; as a rule, tables have a folder per family
                    one = batch if len(of_batch) == 1 else batch.filter(pc.equal(batch.column("family"), family))
                    yield projection_rows(one, n, *project_values(predictor, n, one.column("values")))

    return rows.mapInArrow(project, PROJECTION_ROWS)


def project_values(predictor: Predictor, family_index: int, values: pa.Array) -> tuple[Projections, Mask]:
    """A family's values, an array or null per row, to their projections (N, k), and which rows (N,) have one."""
    feature = predictor.bundle.manifest["features"][family_index]
    present: Mask = values.is_valid().to_numpy(zero_copy_only=False)
    flat = values.flatten().to_numpy(zero_copy_only=False).reshape(-1, feature["dim"])
    projected = predictor.project(feature["name"], flat)
    projections = np.zeros((len(values), projected.shape[1]))
    projections[present] = projected
    return projections, present


def projection_rows(
    rows: pa.RecordBatch, family_index: int | None, projections: Projections, present: Mask
) -> pa.RecordBatch:
    """Rows (image_id, sha256, status, error) with their projections: `PROJECTION_ROWS`."""
    width, n_rows = pa.binary(projections.shape[1] * projections.itemsize), len(projections)
    buffer = pa.py_buffer(np.ascontiguousarray(projections))
    fixed = pa.FixedSizeBinaryArray.from_buffers(width, n_rows, [None, buffer])
    found = fixed.cast(pa.binary()).take(pa.array(np.arange(n_rows), mask=~present))
    columns = {name: rows.column(name) for name in ("image_id", "sha256")}
    columns |= {"family_index": pa.array([family_index] * n_rows, pa.int32()), "projection": found}
    return pa.RecordBatch.from_pydict(columns | {name: rows.column(name) for name in ("status", "error")})


def gather_projections(projections: DataFrame, bundle: Bundle) -> DataFrame:
    """`PROJECTION_ROWS` to one row per image: image_id, sha256 as `sha_key`, visual, status, error.

    visual: the sum of the image's projections, or these one after the other, as bytes; null where it is refused. It is
    refused with the first status, in the bundle's order of families, that is not `ok`; a family without a row of the
    bundle's version is `no_features`.
    """
    versions = [f"{family} {version}" for family, version in bundle.feature_versions.items()]
    # Brought together before they are grouped: as a rule an image has one row, so grouping ahead of the shuffle would
    # sort in vain; and on the keys of the join with the inputs, which then needs no shuffle of its own. The number of
    # partitions is given where there is one, for Spark would choose it by their bytes, and a forward pass takes time.
    n_tasks, keys = shuffle_partitions(projections.sparkSession), ("image_id", "sha256")
    keyed = projections.withColumn("sha256", sha_key())
    together = keyed.repartition(n_tasks, *keys) if n_tasks else keyed.repartition(*keys)
    found = F.struct("status", "error", "projection")
    grouped = together.groupBy("image_id", "sha256").agg(
        F.max(F.when(F.col("family_index").isNull(), F.col("projection"))).alias("whole"),
        *(F.max(F.when(F.col("family_index") == n, found)).alias(f"family_{n}") for n in range(len(versions))),
    )

    def refusal(n: int) -> Column:
        family = F.col(f"family_{n}")
        absent = F.struct(F.lit("no_features").alias("status"), F.lit(f"no {versions[n]}").alias("error"))
        refused = F.struct(family["status"].alias("status"), family["error"].alias("error"))
        return F.when(family.isNull(), absent).when(family["status"] != "ok", refused)

    indices = range(len(versions))
    refused = F.when(F.col("whole").isNull(), F.coalesce(*(refusal(n) for n in indices)))
    joined = F.coalesce("whole", F.concat(*(F.col(f"family_{n}.projection") for n in indices)))
    return grouped.select(
        "image_id",
        "sha256",
        F.when(refused.isNull(), joined).alias("visual"),
        F.coalesce(refused["status"], F.lit("ok")).alias("status"),
        refused["error"].alias("error"),
    )


def sum_projections(blobs: Sequence[bytes], n_components: int) -> Projections:
    """Rows of one sum or of several projections each, as `gather_projections` makes them, to their sums (N, k)."""
    lengths = np.array([len(blob) for blob in blobs])
    sums = np.empty((len(blobs), n_components))
    for length in np.unique(lengths):
        alike = lengths == length
        stacked = np.frombuffer(b"".join(compress(blobs, alike))).reshape(np.count_nonzero(alike), -1, n_components)
        sums[alike] = stacked.sum(axis=1)
    return sums
