"""Image features to their part of a bundle's visual reduction.

The reduction is linear, so each family's values can be projected alone and only the short projections travel: for 1,894
values of an image, 20 numbers per family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from popspark.features.stored_files import Mask
from popspark.models.bundle import Bundle
from popspark.models.predictor import Predictor
from popspark.models.shipping import load_shipped

Parts = npt.NDArray[np.float64]
PARTS = "image_id string, sha256 string, place int, part binary, status string, error string"
"""place: of the family in the bundle; null where the row has the sum of all of them, and all are `ok`. part: k float64
values as bytes, which nothing on their way takes apart; null where the status is not `ok`.
"""


def project_features(features: DataFrame, bundle: Bundle) -> DataFrame:
    """Rows of image_features, as Spark has them, to `PARTS`: those of the bundle's families and versions.

    The bundle was shipped.
    """
    versions = [f"{family} {version}" for family, version in bundle.feature_versions.items()]
    current = f.col("family").isin(list(bundle.feature_versions)) & f.concat_ws(" ", "family", "version").isin(versions)
    archive_name = bundle.archive_name
    rows = features.where(current).select("image_id", "sha256", "family", "values", "status", "error")

    def project(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predictor = load_shipped(archive_name)
        for batch in batches:
            of_batch = set(batch.column("family").unique().to_pylist())
            for place, family in enumerate(predictor.bundle.feature_versions):
                if family in of_batch:  # a filter copies all values; as a rule, tables have a folder per family
                    one = batch if len(of_batch) == 1 else batch.filter(pc.equal(batch.column("family"), family))
                    yield part_rows(one, place, *project_values(predictor, place, one.column("values")))

    return rows.mapInArrow(project, PARTS)


def project_values(predictor: Predictor, place: int, values: pa.Array) -> tuple[Parts, Mask]:
    """A family's values, an array or null per row, to their parts (N, k), and which rows (N,) have one."""
    feature = predictor.bundle.manifest["features"][place]
    present: Mask = values.is_valid().to_numpy(zero_copy_only=False)
    flat = values.flatten().to_numpy(zero_copy_only=False).reshape(-1, feature["dim"])
    projected = predictor.project(feature["name"], flat)
    parts = np.zeros((len(values), projected.shape[1]))
    parts[present] = projected
    return parts, present


def part_rows(rows: pa.RecordBatch, place: int | None, parts: Parts, present: Mask) -> pa.RecordBatch:
    """Rows (image_id, sha256, status, error) with their parts: `PARTS`."""
    width = pa.binary(parts.shape[1] * parts.itemsize)
    fixed = pa.FixedSizeBinaryArray.from_buffers(width, len(parts), [None, pa.py_buffer(np.ascontiguousarray(parts))])
    found = fixed.cast(pa.binary()).take(pa.array(np.arange(len(parts)), mask=~present))
    columns = {name: rows.column(name) for name in ("image_id", "sha256")}
    columns |= {"place": pa.array([place] * len(rows), pa.int32()), "part": found}
    return pa.RecordBatch.from_pydict(columns | {name: rows.column(name) for name in ("status", "error")})
