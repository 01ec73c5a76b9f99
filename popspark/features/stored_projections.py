"""Projections of stored features, straight from the files of an image_features table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from popspark.features.projection import (
    PROJECTION_ROWS,
    Projections,
    project_features,
    project_values,
    projection_rows,
)
from popspark.features.stored_files import (
    FileShare,
    Mask,
    find_rows,
    find_shares,
    one_task_each,
    read_rows,
    select_images,
)
from popspark.models.bundle import Bundle
from popspark.models.predictor import Predictor
from popspark.models.shipping import load_shipped

BATCH_VALUES = 1 << 19
"""Values that are decoded and projected at once: two megabytes, which stay in a processor's cache meanwhile."""

_COLUMNS = ["image_id", "sha256", "status", "error"]
_NO_ROWS = pa.schema([(name, pa.string()) for name in _COLUMNS]).empty_table()
_NO_VALUES = pa.array([], pa.list_(pa.float32()))


class _Family(NamedTuple):
    """What a share holds of one family. rows: `_COLUMNS`, N of them. projections: (N, k). present: (N,)."""

    rows: pa.RecordBatch
    projections: Projections
    present: Mask

    def are_images_of(self, other: _Family) -> bool:
        return all(self.rows.column(key).equals(other.rows.column(key)) for key in ("image_id", "sha256"))

    @property
    def is_ok(self) -> Mask:
        return self.present & pc.equal(self.rows.column("status"), "ok").fill_null(False).to_numpy(zero_copy_only=False)

    def take(self, taken: Mask) -> _Family:
        return _Family(self.rows.filter(pa.array(taken)), self.projections[taken], self.present[taken])


def project_stored(features: DataFrame, ids: pa.Array | None, bundle: Bundle) -> DataFrame:
    """The table image_features as it was read to `PROJECTION_ROWS`, for the images of these ids, or all.

    The bundle was shipped. Values are read only where a row is taken.
    """
    shares = find_shares(features, list(bundle.feature_versions))
    if shares is None:
        return project_features(select_images(features, ids), bundle)

    archive_name = bundle.archive_name

    def project(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """`PROJECTION_ROWS` of the shares that the batches name; on executors."""
        predictor = load_shipped(archive_name)
        for batch in batches:
            for n in batch.column("id").to_pylist():
                yield from _read_share(predictor, shares[n], ids)

    return one_task_each(features, shares).mapInArrow(project, PROJECTION_ROWS)


def _read_share(predictor: Predictor, share: FileShare, ids: pa.Array | None) -> Iterator[pa.RecordBatch]:
    numbers = find_rows(share)
    found = {n: _read_family(predictor, n, path, numbers, ids) for n, path in sorted(share.paths.items())}
    first = next(iter(found.values()))
    if len(found) == len(predictor.bundle.feature_versions) and all(map(first.are_images_of, found.values())):
        is_whole = np.logical_and.reduce([family.is_ok for family in found.values()])
        with np.errstate(invalid="ignore"):
            sums = reduce(np.add, (family.projections for family in found.values()))
        whole = first._replace(projections=sums).take(is_whole)
        yield projection_rows(whole.rows, None, whole.projections, whole.present)
        found = {n: family.take(~is_whole) for n, family in found.items()}
    yield from (projection_rows(family.rows, n, family.projections, family.present) for n, family in found.items())


def _read_family(
    predictor: Predictor, family_index: int, path: str, numbers: tuple[int, int | None], ids: pa.Array | None
) -> _Family:
    """Rows of a file, between these numbers, that are of the bundle's version and of the images asked for."""
    feature = predictor.bundle.manifest["features"][family_index]
    version, n_rows = feature["version"], max(1, BATCH_VALUES // feature["dim"])
    found, projected = [_NO_ROWS], [project_values(predictor, family_index, _NO_VALUES)]
    with pq.ParquetFile(path, buffer_size=1 << 20) as parquet:
        for group, taken, rows in read_rows(parquet, numbers, version, ids, _COLUMNS):
            found.append(rows.cast(_NO_ROWS.schema))
            values = _read_values(parquet, group, taken, n_rows)
            projected += (project_values(predictor, family_index, some) for some in values)
    columns = [column.combine_chunks() for column in pa.concat_tables(found).combine_chunks().columns]
    projections, present = (np.concatenate(arrays) for arrays in zip(*projected, strict=True))
    return _Family(pa.RecordBatch.from_arrays(columns, _COLUMNS), projections, present)


def _read_values(parquet: pq.ParquetFile, group: int, taken: Mask, n_rows: int) -> Iterator[pa.Array]:
    """Values of the rows taken of a row group, read `n_rows` at a time; nothing is read behind the last of them."""
    done, end = 0, max(np.flatnonzero(taken), default=-1) + 1
    batches = parquet.iter_batches(n_rows, [group], ["values"], use_threads=False)
    while done < end:
        values = next(batches).column(0)
        mask = taken[done : done + len(values)]
        done += len(values)
        yield values if mask.all() else values.filter(pa.array(mask))
