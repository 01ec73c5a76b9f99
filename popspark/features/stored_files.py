"""The files of an image_features table as the workers read them: their shares, their rows, and what they hold of whom.

Files on disks, also mounted ones, are read by the workers themselves: Spark would turn each value into a row's and that
into Arrow's, which costs more than all else. Files elsewhere are read by Spark, which has the credentials, and so are
those that no folder `family=` says what they hold.

A task of Spark that wrote several families gave their files one name, and the images in them one order: such files
are read side by side, and where all families are found so, an image is one row instead of one per family.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

Mask = npt.NDArray[np.bool_]

FEW_IDS = 100_000
"""Images whose ids go to every task by name, some megabytes."""
SPLIT_BYTES = 512 << 20
"""Of the widest family's file, that a task is worth. A task decodes whole row groups of all families, also where only
some of their rows are its own: small shares read many rows in vain.
"""
KEYS = pa.schema([("image_id", pa.string()), ("key", pa.string())])

_FAMILY = re.compile(r"/family=([^/]+)/([^/]+)$")


class Split(NamedTuple):
    """A task's share, `part` of `n_parts`, of files that were written side by side. paths: by the family's place."""

    paths: dict[int, str]
    part: int
    n_parts: int


def sha_key() -> Column:
    """The sha256 of an image's bytes as a key: an image that could not be read has none, and is itself all the same."""
    return f.coalesce("sha256", f.lit(""))


def collect_few(wanted: DataFrame) -> pa.Array | None:
    """The ids in `wanted` (image_id), or None where they are more than `FEW_IDS`."""
    ids: Any = wanted.select("image_id").limit(FEW_IDS + 1).toPandas()
    return pa.array(ids["image_id"], pa.string()) if len(ids) <= FEW_IDS else None


def of_few(features: DataFrame, ids: pa.Array | None) -> DataFrame:
    """Spark's own way to the rows of these images; None: of all."""
    if ids is None:
        return features
    known = features.sparkSession.createDataFrame([(i,) for i in ids.to_pylist()], "image_id string")
    return features.join(f.broadcast(known), "image_id", "left_semi")


def find_splits(features: DataFrame, families: Sequence[str]) -> list[Split] | None:
    """The shares of the table's files that hold these families, None where Spark must read them.

    features: the table image_features as it was read.
    """
    files = {uri: _FAMILY.search(uri) for uri in features.inputFiles()}
    if not files or not all(uri.startswith("file:") and found for uri, found in files.items()):
        return None
    order = {name: place for place, name in enumerate(families)}
    together: dict[str, dict[int, str]] = defaultdict(dict)
    for uri, found in files.items():
        if found and found[1] in order:
            together[uri[: found.start()] + found[2]][order[found[1]]] = fs.FileSystem.from_uri(uri)[1]
    return [split for paths in together.values() for split in _split(paths)]


def _split(paths: dict[int, str]) -> list[Split]:
    n_parts = max(1, max(Path(path).stat().st_size for path in paths.values()) // SPLIT_BYTES)
    return [Split(paths, part, n_parts) for part in range(n_parts)]


def find_share(split: Split) -> tuple[int, int | None]:
    """The split's rows, from one row group of the widest family to another; the last split's are all that follow."""
    with pq.ParquetFile(max(split.paths.values(), key=lambda path: Path(path).stat().st_size)) as widest:
        groups = [widest.metadata.row_group(n).num_rows for n in range(widest.num_row_groups)]
    starts = list(accumulate(groups, initial=0))
    first, last = (len(groups) * part // split.n_parts for part in (split.part, split.part + 1))
    return starts[first], None if split.part + 1 == split.n_parts else starts[last]


def read_taken(
    parquet: pq.ParquetFile, share: tuple[int, int | None], version: str, ids: pa.Array | None, columns: list[str]
) -> Iterator[tuple[int, Mask, pa.Table]]:
    """Of each row group with rows of the share: its number, which of its rows are of that version and among `ids`
    (None: of all images), and these rows' `columns`.
    """
    first, (start, stop) = 0, share
    for group in range(parquet.num_row_groups):
        places = np.arange(first, first + parquet.metadata.row_group(group).num_rows)
        first += len(places)
        taken = (places >= start) & (places < (first if stop is None else stop))
        if ids is not None and taken.any():
            taken &= pc.is_in(parquet.read_row_group(group, ["image_id"]).column(0), ids).to_numpy()
        if taken.any():
            rows = parquet.read_row_group(group, [*columns, "version"])
            taken &= pc.equal(rows.column("version"), version).fill_null(False).to_numpy()
            yield group, taken, rows.select(columns).filter(pa.array(taken))


def find_present(features: DataFrame, versions: Mapping[str, str], ids: pa.Array | None) -> DataFrame:
    """image_id, key (`sha_key`) and `present`: bit n is set where the n-th of these families and versions is stored.

    features: the table image_features as it was read. ids: of the images that are asked for, None for all.
    """
    splits = find_splits(features, list(versions))
    if splits is None:
        place = f.create_map(
            *(f.lit(v) for n, (name, k) in enumerate(versions.items()) for v in (f"{name} {k}", 1 << n))
        )
        bit = f.coalesce(place[f.concat_ws(" ", "family", "version")], f.lit(0))
        found = of_few(features, ids).select("image_id", sha_key().alias("key"), bit.alias("present"))
    else:
        found = _read_present(features, splits, list(versions.values()), ids)
    return found.groupBy("image_id", "key").agg(f.bit_or("present").alias("present"))


def _read_present(features: DataFrame, splits: list[Split], versions: list[str], ids: pa.Array | None) -> DataFrame:
    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # runs on executors
        for batch in batches:
            for n in batch.column("id").to_pylist():
                yield from _split_present(splits[n], versions, ids)

    return over(features, splits).mapInArrow(read, "image_id string, key string, present int")


def over(features: DataFrame, splits: list[Split]) -> DataFrame:
    """The numbers of the splits (id), a task each."""
    return features.sparkSession.range(0, len(splits), 1, max(len(splits), 1))


def _split_present(split: Split, versions: list[str], ids: pa.Array | None) -> Iterator[pa.RecordBatch]:
    share = find_share(split)
    keys = {1 << n: _read_keys(path, share, versions[n], ids) for n, path in split.paths.items()}
    first = next(iter(keys.values()))
    if all(first.equals(other) for other in keys.values()):
        keys = {sum(keys): first}
    for present, rows in keys.items():
        yield from rows.append_column("present", pa.array(np.full(len(rows), present, np.int32))).to_batches()


def _read_keys(path: str, share: tuple[int, int | None], version: str, ids: pa.Array | None) -> pa.Table:
    found = [KEYS.empty_table()]
    with pq.ParquetFile(path) as parquet:
        for _, _, rows in read_taken(parquet, share, version, ids, ["image_id", "sha256"]):
            sha256 = pc.fill_null(rows.column("sha256").cast(pa.string()), "")
            found.append(pa.table([rows.column("image_id").cast(pa.string()), sha256], schema=KEYS))
    return pa.concat_tables(found).combine_chunks()
