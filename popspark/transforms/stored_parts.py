"""The parts of a bundle's visual reduction straight from the files of an image_features table.

Files on disks, also mounted ones, are read by the workers themselves: Spark would turn each value into a row's and that
into Arrow's, which costs more than all else. Files elsewhere are read by Spark, which has the credentials, and so are
those that no folder `family=` says what they hold.

A task of Spark that wrote several families gave their files one name, and the images in them one order: such files
are read side by side, and where all families are found so, an image is one row instead of one per family.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from popspark.bundle import Bundle
from popspark.prediction import Predictor
from popspark.transforms.projection import (
    PARTS,
    Mask,
    Parts,
    load_predictor,
    part_rows,
    project_features,
    project_values,
)

FEW_IDS = 100_000
"""Images whose ids go to every task by name, some megabytes."""
SPLIT_BYTES = 128 << 20
"""Of the widest family's file, that a task is worth: about a row group."""
BATCH_VALUES = 1 << 19
"""Decoded and projected at once: two megabytes, which stay in a processor's cache meanwhile."""

_FAMILY = re.compile(r"/family=([^/]+)/([^/]+)$")
_COLUMNS = ["image_id", "sha256", "status", "error"]
_NO_ROWS = pa.schema([(name, pa.string()) for name in _COLUMNS]).empty_table()
_NO_VALUES = pa.array([], pa.list_(pa.float32()))


class _Family(NamedTuple):
    """rows: `_COLUMNS`, N of them. parts: (N, k). present: (N,)."""

    rows: pa.RecordBatch
    parts: Parts
    present: Mask

    def are_images_of(self, other: _Family) -> bool:
        return all(self.rows.column(key).equals(other.rows.column(key)) for key in ("image_id", "sha256"))

    @property
    def is_ok(self) -> Mask:
        return self.present & pc.equal(self.rows.column("status"), "ok").fill_null(False).to_numpy(zero_copy_only=False)

    def take(self, taken: Mask) -> _Family:
        return _Family(self.rows.filter(pa.array(taken)), self.parts[taken], self.present[taken])


class _Split(NamedTuple):
    """A task's share, `part` of `n_parts`, of files that were written side by side. paths: by place in the bundle."""

    paths: dict[int, str]
    part: int
    n_parts: int


def project_stored(features: DataFrame, wanted: DataFrame, bundle: Bundle, file: str) -> DataFrame:
    """The table image_features as it was read to `PARTS`, for the images in `wanted` (image_id).

    Rows of other images may come too, where the wanted ones are more than `FEW_IDS`. file: the name under which the
    bundle was shipped, as a zip. Values are read only where a row is taken.
    """
    ids: Any = wanted.select("image_id").limit(FEW_IDS + 1).toPandas()
    taken = pa.array(ids["image_id"], pa.string()) if len(ids) <= FEW_IDS else None
    files = {uri: _FAMILY.search(uri) for uri in features.inputFiles()}
    if not all(uri.startswith("file:") and found for uri, found in files.items()):
        some = features if taken is None else features.join(f.broadcast(wanted), "image_id", "left_semi")
        return project_features(some, bundle, file)
    order = {name: place for place, name in enumerate(bundle.feature_versions)}
    together: dict[str, dict[int, str]] = defaultdict(dict)
    for uri, found in files.items():
        if found and found[1] in order:
            together[uri[: found.start()] + found[2]][order[found[1]]] = fs.FileSystem.from_uri(uri)[1]
    splits = [split for paths in together.values() for split in _split(paths)]

    def project(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predictor = load_predictor(file)
        for batch in batches:
            for n in batch.column("id").to_pylist():
                yield from _read_split(predictor, splits[n], taken)

    numbers = features.sparkSession.range(0, len(splits), 1, max(len(splits), 1))
    return numbers.mapInArrow(project, PARTS)


def _split(paths: dict[int, str]) -> list[_Split]:
    n_parts = max(1, max(Path(path).stat().st_size for path in paths.values()) // SPLIT_BYTES)
    return [_Split(paths, part, n_parts) for part in range(n_parts)]


def _read_split(predictor: Predictor, split: _Split, wanted: pa.Array | None) -> Iterator[pa.RecordBatch]:
    start, stop = _share(split)
    found = {n: _read_family(predictor, n, path, start, stop, wanted) for n, path in sorted(split.paths.items())}
    first = next(iter(found.values()))
    if len(found) == len(predictor.bundle.feature_versions) and all(map(first.are_images_of, found.values())):
        is_whole = np.logical_and.reduce([family.is_ok for family in found.values()])
        with np.errstate(invalid="ignore"):
            sums = reduce(np.add, (family.parts for family in found.values()))
        whole = first._replace(parts=sums).take(is_whole)
        yield part_rows(whole.rows, None, whole.parts, whole.present)
        found = {place: family.take(~is_whole) for place, family in found.items()}
    yield from (part_rows(family.rows, place, family.parts, family.present) for place, family in found.items())


def _share(split: _Split) -> tuple[int, int | None]:
    """The split's rows, from one row group of the widest family to another; the last split's are all that follow."""
    with pq.ParquetFile(max(split.paths.values(), key=lambda path: Path(path).stat().st_size)) as widest:
        groups = [widest.metadata.row_group(n).num_rows for n in range(widest.num_row_groups)]
    starts = list(accumulate(groups, initial=0))
    first, last = (len(groups) * part // split.n_parts for part in (split.part, split.part + 1))
    return starts[first], None if split.part + 1 == split.n_parts else starts[last]


def _read_family(
    predictor: Predictor, place: int, path: str, start: int, stop: int | None, wanted: pa.Array | None
) -> _Family:
    """Of the rows [start, stop) of a file those that are of the bundle's version and wanted."""
    feature = predictor.bundle.manifest["features"][place]
    version, n_rows = feature["version"], max(1, BATCH_VALUES // feature["dim"])
    found, first = [_NO_ROWS], 0
    projected = [project_values(predictor, place, _NO_VALUES)]
    with pq.ParquetFile(path, buffer_size=1 << 20) as parquet:
        for group in range(parquet.num_row_groups):
            places = np.arange(first, first + parquet.metadata.row_group(group).num_rows)
            first += len(places)
            taken = (places >= start) & (places < (first if stop is None else stop))
            if wanted is not None and taken.any():
                ids = parquet.read_row_group(group, ["image_id"]).column(0)
                taken &= pc.is_in(ids, wanted).to_numpy()
            if not taken.any():
                continue
            rows = parquet.read_row_group(group, [*_COLUMNS, "version"])
            taken &= pc.equal(rows.column("version"), version).fill_null(False).to_numpy()
            found.append(rows.select(_COLUMNS).filter(pa.array(taken)).cast(_NO_ROWS.schema))
            values = _read_values(parquet, group, taken, n_rows)
            projected += (project_values(predictor, place, some) for some in values)
    columns = [column.combine_chunks() for column in pa.concat_tables(found).combine_chunks().columns]
    parts, present = (np.concatenate(arrays) for arrays in zip(*projected, strict=True))
    return _Family(pa.RecordBatch.from_arrays(columns, _COLUMNS), parts, present)


def _read_values(parquet: pq.ParquetFile, group: int, taken: Mask, n_rows: int) -> Iterator[pa.Array]:
    """The values of those rows of a row group, of `n_rows` at a time; nothing is read behind the last of them."""
    done, end = 0, max(np.flatnonzero(taken), default=-1) + 1
    batches = parquet.iter_batches(n_rows, [group], ["values"], use_threads=False)
    while done < end:
        values = next(batches).column(0)
        mask = taken[done : done + len(values)]
        done += len(values)
        yield values if mask.all() else values.filter(pa.array(mask))
