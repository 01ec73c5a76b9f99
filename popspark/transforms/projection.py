"""Image features to their part of a bundle's visual reduction, where they lie: by Spark, or straight from the files.

The reduction is linear, so each family's values can be projected alone and only the short projections travel: for 1,894
values of an image, 20 numbers per family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark import SparkFiles
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from popspark.bundle import Bundle, load_bundle
from popspark.prediction import Predictor

PARTS = "image_id string, sha256 string, place int, part binary, status string, error string"
"""place is the family's in the bundle, part its float64 values as bytes, which nothing on their way takes apart."""

KEYS = ("image_id", "sha256", "version", "status", "error")
FEW_IDS = 100_000
"""Images whose ids go to every task by name, some megabytes."""
SPLIT_BYTES = 64 << 20
"""Of a file, that a task is worth."""
BATCH_ROWS = 4096
"""Of values, held at once: 20 MB of the widest family that comes with the installation."""


@lru_cache(maxsize=2)
def load_predictor(file: str) -> Predictor:
    """On an executor: the shipped bundle, kept per worker."""
    return Predictor(load_bundle(Path(SparkFiles.get(file))))


def project_features(features: DataFrame, bundle: Bundle, file: str) -> DataFrame:
    """Rows of image_features to `PARTS`: those of the bundle's families and versions.

    file: the name under which the bundle was shipped, as a zip.
    """
    versions = [f"{family} {version}" for family, version in bundle.feature_versions.items()]
    current = f.col("family").isin(list(bundle.feature_versions)) & f.concat_ws(" ", "family", "version").isin(versions)
    rows = features.where(current).select("image_id", "sha256", "family", "values", "status", "error")

    def project(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predictor = load_predictor(file)
        for batch in batches:
            of_batch = set(batch.column("family").unique().to_pylist())
            for place, family in enumerate(predictor.bundle.feature_versions):
                if of_batch == {family}:  # the rule, as tables have a folder per family; a filter copies all values
                    yield _project_rows(predictor, batch, batch.column("values"), place)
                elif family in of_batch:
                    taken = batch.filter(pc.equal(batch.column("family"), family))
                    yield _project_rows(predictor, taken, taken.column("values"), place)

    return rows.mapInArrow(project, PARTS)


def project_stored(features: DataFrame, wanted: DataFrame, bundle: Bundle, file: str) -> DataFrame:
    """The same of the table image_features as it was read, for the images in `wanted` (image_id).

    Rows of other images may come too, where the wanted ones are more than `FEW_IDS`.

    Files on disks, also mounted ones, are read by the workers themselves: Spark would turn each value into a row's and
    that into Arrow's, which costs more than all else. Values are read only where a row is taken. Files elsewhere are
    read by Spark, which has the credentials, and so are those that no folder `family=` says what they hold.
    """
    families = {name: place for place, name in enumerate(bundle.feature_versions)}
    ids = [row[0] for row in wanted.select("image_id").collect()] if wanted.count() <= FEW_IDS else None
    files = {uri: _FAMILY.search(uri) for uri in features.inputFiles()}
    if not all(uri.startswith("file:") and found for uri, found in files.items()):
        some = features if ids is None else features.join(f.broadcast(wanted), "image_id", "left_semi")
        return project_features(some, bundle, file)
    places = {uri: families.get(found[1]) for uri, found in files.items() if found}
    splits = [split for uri, place in places.items() if place is not None for split in _split(uri, place)]
    taken = None if ids is None else pa.array(ids, pa.string())

    def project(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predictor = load_predictor(file)
        for batch in batches:
            for n in batch.column("id").to_pylist():
                yield from _read_split(predictor, splits[n], taken)

    return features.sparkSession.range(0, len(splits), 1, max(len(splits), 1)).mapInArrow(project, PARTS)


_FAMILY = re.compile(r"/family=([^/]+)/[^/]+$")


class _Split(NamedTuple):
    """A task's share of a file: each `step`-th row group from `first` on. place: the family's in the bundle."""

    path: str
    place: int
    first: int
    step: int


def _split(uri: str, place: int) -> list[_Split]:
    _, path = fs.FileSystem.from_uri(uri)
    n_parts = max(1, Path(path).stat().st_size // SPLIT_BYTES)
    return [_Split(path, place, part, n_parts) for part in range(n_parts)]


def _read_split(predictor: Predictor, split: _Split, wanted: pa.Array | None) -> Iterator[pa.RecordBatch]:
    version = list(predictor.bundle.feature_versions.values())[split.place]
    with pq.ParquetFile(split.path, buffer_size=1 << 20) as parquet:
        for group in range(split.first, parquet.num_row_groups, split.step):
            keys = parquet.read_row_group(group, list(KEYS)).combine_chunks()
            taken = pc.equal(keys["version"], version)
            if wanted is not None:
                taken = pc.and_(taken, pc.is_in(keys["image_id"], wanted))
            if not pc.any(taken).as_py():
                continue
            start = 0
            for batch in parquet.iter_batches(BATCH_ROWS, [group], ["values"]):
                values, mask = batch.column(0), taken.slice(start, len(batch)).combine_chunks()
                rows = keys.slice(start, len(batch))
                start += len(batch)
                if not pc.all(mask).as_py():
                    values, rows = values.filter(mask), rows.filter(mask)
                if len(values):
                    yield _project_rows(predictor, rows.combine_chunks().to_batches()[0], values, split.place)


def _project_rows(predictor: Predictor, rows: pa.RecordBatch, values: pa.Array, place: int) -> pa.RecordBatch:
    family = list(predictor.bundle.feature_versions)[place]
    parts: list[bytes | None] = [None] * len(values)
    present = np.flatnonzero(values.is_valid())
    if len(present):
        flat = values.flatten().to_numpy(zero_copy_only=False)
        projected = predictor.project(family, flat.reshape(len(present), -1)).astype(np.float64)
        for row, part in zip(present, projected, strict=True):
            parts[row] = part.tobytes()
    return pa.RecordBatch.from_pydict(
        {
            "image_id": rows.column("image_id"),
            "sha256": rows.column("sha256"),
            "place": pa.array(np.full(len(values), place, np.int32)),
            "part": pa.array(parts, pa.binary()),
            "status": rows.column("status"),
            "error": rows.column("error"),
        }
    )
