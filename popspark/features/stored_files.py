"""Reading of a stored image_features table by the workers, file by file: which task takes which rows, and of whom.

Files on disks, also mounted ones, are read by the workers themselves: Spark would turn each value into a row's and that
into Arrow's, which costs more than all else. Files elsewhere are read by Spark, which has the credentials, and so are
files outside of folders `family=NAME`, which do not tell what they hold.

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
from pyspark.sql import functions as F

Mask = npt.NDArray[np.bool_]

MAX_COLLECTED_IDS = 100_000
"""Most images whose ids are collected, to be sent to every task: some megabytes."""
SHARE_BYTES = 512 << 20
"""Size of a task's share, in bytes of the widest family's file. A task decodes whole row groups of all families, also
where only some of their rows are its own, so small shares would read many rows in vain.
"""
KEYS = pa.schema([("image_id", pa.string()), ("key", pa.string())])

_FAMILY = re.compile(r"/family=([^/]+)/([^/]+)$")


class FileShare(NamedTuple):
    """The rows that one task reads of files which were written side by side.

    paths: by the index of the family. number: from 0, of the n_shares into which the files are divided.
    """

    paths: dict[int, str]
    number: int
    n_shares: int


def sha_key() -> Column:
    """A column to join and group by: the sha256 of an image's bytes, an empty text where these could not be read.

    A null equals nothing, itself included, and would lose such images.
    """
    return F.coalesce("sha256", F.lit(""))


def collect_ids(wanted: DataFrame) -> pa.Array | None:
    """The ids in `wanted` (image_id), or None, which stands for all images, where they are over `MAX_COLLECTED_IDS`."""
    ids: Any = wanted.select("image_id").limit(MAX_COLLECTED_IDS + 1).toPandas()
    return pa.array(ids["image_id"], pa.string()) if len(ids) <= MAX_COLLECTED_IDS else None


def select_images(features: DataFrame, ids: pa.Array | None) -> DataFrame:
    """Rows of these images, or of all for None, as Spark reads them."""
    if ids is None:
        return features
    known = features.sparkSession.createDataFrame([(i,) for i in ids.to_pylist()], "image_id string")
    return features.join(F.broadcast(known), "image_id", "left_semi")


def find_shares(features: DataFrame, families: Sequence[str]) -> list[FileShare] | None:
    """Shares, one a task, of the table's files that hold these families; None where Spark must read them.

    features: the table image_features as it was read.
    """
    files = {uri: _FAMILY.search(uri) for uri in features.inputFiles()}
    if not files or not all(uri.startswith("file:") and found for uri, found in files.items()):
        return None
    index = {name: n for n, name in enumerate(families)}
    together: dict[str, dict[int, str]] = defaultdict(dict)
    for uri, found in files.items():
        if found and found[1] in index:
            together[uri[: found.start()] + found[2]][index[found[1]]] = fs.FileSystem.from_uri(uri)[1]
    return [share for paths in together.values() for share in _divide(paths)]


def _divide(paths: dict[int, str]) -> list[FileShare]:
    n_shares = max(1, max(Path(path).stat().st_size for path in paths.values()) // SHARE_BYTES)
    return [FileShare(paths, number, n_shares) for number in range(n_shares)]


def find_rows(share: FileShare) -> tuple[int, int | None]:
    """Numbers of the share's first row and of the first after it, None for the end of the file.

    The widest family's row groups are divided evenly, so that few of its row groups belong to two shares.
    """
    with pq.ParquetFile(max(share.paths.values(), key=lambda path: Path(path).stat().st_size)) as widest:
        groups = [widest.metadata.row_group(n).num_rows for n in range(widest.num_row_groups)]
    starts = list(accumulate(groups, initial=0))
    first, last = (len(groups) * number // share.n_shares for number in (share.number, share.number + 1))
    return starts[first], None if share.number + 1 == share.n_shares else starts[last]


def read_rows(
    parquet: pq.ParquetFile, rows: tuple[int, int | None], version: str, ids: pa.Array | None, columns: list[str]
) -> Iterator[tuple[int, Mask, pa.Table]]:
    """Row groups that hold rows of a share which are of this version and of these images.

    Yields a row group's number, the mask of those rows among all of its rows, and their `columns`.
    rows: as `find_rows` gives them. ids: of the images; None for all.
    """
    first, (start, stop) = 0, rows
    for group in range(parquet.num_row_groups):
        numbers = np.arange(first, first + parquet.metadata.row_group(group).num_rows)
        first += len(numbers)
        taken = (numbers >= start) & (numbers < (first if stop is None else stop))
        if ids is not None and taken.any():
            taken &= pc.is_in(parquet.read_row_group(group, ["image_id"]).column(0), ids).to_numpy()
        if taken.any():
            table = parquet.read_row_group(group, [*columns, "version"])
            taken &= pc.equal(table.column("version"), version).fill_null(False).to_numpy()
            yield group, taken, table.select(columns).filter(pa.array(taken))


def find_present(features: DataFrame, versions: Mapping[str, str], ids: pa.Array | None) -> DataFrame:
    """Images of which something is stored: image_id, key (`sha_key`) and `present`, a number as a set of families.

    Its bit n is set where the n-th of these families is stored in its version.

    features: the table image_features as it was read. ids: of the images that are asked for, None for all.
    """
    shares = find_shares(features, list(versions))
    if shares is None:
        bits = F.create_map(
            *(F.lit(v) for n, (name, k) in enumerate(versions.items()) for v in (f"{name} {k}", 1 << n))
        )
        bit = F.coalesce(bits[F.concat_ws(" ", "family", "version")], F.lit(0))
        found = select_images(features, ids).select("image_id", sha_key().alias("key"), bit.alias("present"))
    else:
        found = _read_present(features, shares, list(versions.values()), ids)
    return found.groupBy("image_id", "key").agg(F.bit_or("present").alias("present"))


def _read_present(features: DataFrame, shares: list[FileShare], versions: list[str], ids: pa.Array | None) -> DataFrame:
    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Images of the shares that the batches name, with what is there of them; on executors."""
        for batch in batches:
            for n in batch.column("id").to_pylist():
                yield from _share_present(shares[n], versions, ids)

    return one_task_each(features, shares).mapInArrow(read, "image_id string, key string, present int")


def one_task_each(features: DataFrame, shares: list[FileShare]) -> DataFrame:
    """Positions of the shares in their list (id), each in a partition of its own, so that a task reads one share."""
    return features.sparkSession.range(0, len(shares), 1, max(len(shares), 1))


def _share_present(share: FileShare, versions: list[str], ids: pa.Array | None) -> Iterator[pa.RecordBatch]:
    rows = find_rows(share)
    keys = {1 << n: _read_keys(path, rows, versions[n], ids) for n, path in share.paths.items()}
    first = next(iter(keys.values()))
    if all(first.equals(other) for other in keys.values()):
        keys = {sum(keys): first}
    for present, found in keys.items():
        yield from found.append_column("present", pa.array(np.full(len(found), present, np.int32))).to_batches()


def _read_keys(path: str, rows: tuple[int, int | None], version: str, ids: pa.Array | None) -> pa.Table:
    found = [KEYS.empty_table()]
    with pq.ParquetFile(path) as parquet:
        for _, _, table in read_rows(parquet, rows, version, ids, ["image_id", "sha256"]):
            sha256 = pc.fill_null(table.column("sha256").cast(pa.string()), "")
            found.append(pa.table([table.column("image_id").cast(pa.string()), sha256], schema=KEYS))
    return pa.concat_tables(found).combine_chunks()
