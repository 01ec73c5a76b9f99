"""A folder of slices (`name=value/part-00000.parquet`), replaced slice by slice as one act, through any kill.

1. The new slices are written whole into `_staging-<run>/`. Until here the table is as it was.
2. `_publish-<run>.json`, the journal, appears by one rename: it names every slice to replace or to remove. From here on
   the new state is the truth: `settle` and `recover`, which come before every read and every write by popspark, bring
   a journal that was left over to its end, as often as they are asked.
3. Each slice is replaced by one rename of its one file onto the old one; removed slices are deleted.
4. The journal, then the staging folder, are deleted.

What a reader that is not popspark can see while step 3 lasts (a rename per slice: milliseconds on a disk): some slices
new and others still old, each of them whole; after a kill in step 3, until the next popspark read or write. A query
that listed the files before may fail on one that was replaced or removed, and is right when asked again. On an object
store a rename is a copy and takes longer; a Delta table has neither limit.
Names that begin with `_` are no part of the table for Spark, pyarrow and Hive.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from itertools import chain
from typing import Any

import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from popspark.runtime.errors import LockError, SchemaError
from popspark.storage.locking import POLL_SECONDS, TableLock, replace_file

LOG = logging.getLogger(__name__)
STAGING, JOURNAL = "_staging-", "_publish-"


def staging_folder(folder: str, run_id: str) -> str:
    """Where a run writes what it will publish."""
    return f"{folder.rstrip('/')}/{STAGING}{run_id}"


def _names(fs: Any, folder: str) -> list[str]:
    fs.invalidate_cache(folder)
    try:
        return sorted(path.rstrip("/").rpartition("/")[2] for path in fs.ls(folder, detail=False))
    except FileNotFoundError:
        return []


def list_slices(folder: str) -> list[str]:
    """The names of the slices that stand in a folder, such as `posted_month=2015-03`."""
    fs, root = url_to_fs(folder)
    return [name for name in _names(fs, root) if "=" in name and not name.startswith(("_", "."))]


def count_rows(folder: str) -> int:
    """The rows of all slices in a folder, from the footers of their files."""
    fs, root = url_to_fs(folder)
    n_rows = 0
    for slice_name in list_slices(folder):
        for name in _names(fs, f"{root}/{slice_name}"):
            if name.endswith(".parquet"):
                with fs.open(f"{root}/{slice_name}/{name}") as stream:
                    n_rows += pq.read_metadata(stream).num_rows
    return n_rows


def publish(folder: str, staged: str, run_id: str, removed: Iterable[str], lock: TableLock) -> None:
    """Replaces the slices that stand in folder `staged`, inside `folder`, and removes those that `removed` names.

    Other entries of the folder can be named in `removed` too. Raises `LockError`, before anything has changed, where
    the lock is not this run's any more.
    """
    fs, root = url_to_fs(folder)
    _, source = url_to_fs(staged)
    replaced = {
        name: [n for n in _names(fs, f"{source}/{name}") if n.endswith(".parquet")] for name in list_slices(staged)
    }
    journal = {
        "run_id": run_id,
        "staged": source[len(root) + 1 :],
        "replaced": replaced,
        "removed": sorted(set(removed) - set(replaced)),
    }
    lock.check()
    write_whole(f"{folder}/{JOURNAL}{run_id}.json", json.dumps(journal, indent=1).encode())
    recover(folder)


def write_whole(path: str, content: bytes) -> None:
    """A file that appears at once with all its content, in place of an older one."""
    fs, target = url_to_fs(path)
    parent, _, name = target.rpartition("/")
    written = f"{parent}/_writing-{name}"
    fs.makedirs(parent, exist_ok=True)
    try:
        fs.pipe_file(written, content)
        replace_file(fs, written, target)
    except OSError:
        if fs.exists(written):
            fs.rm_file(written)
        raise


def recover(folder: str) -> None:
    """Under the lock: brings journals to their end and deletes what runs that died before theirs left behind."""
    fs, root = url_to_fs(folder)
    for name in _names(fs, root):
        if name.startswith(JOURNAL):
            _roll_forward(fs, root, _read_journal(fs, f"{root}/{name}"))
            fs.rm_file(f"{root}/{name}")
    for name in _names(fs, root):
        if name.startswith((STAGING, "_writing-")):
            fs.rm(f"{root}/{name}", recursive=True)


def _read_journal(fs: Any, path: str) -> dict[str, Any]:
    """Raises `SchemaError` where it names anything that is not right inside the table's folder."""
    journal: dict[str, Any] = json.loads(fs.cat_file(path))
    names = [journal["run_id"], *journal["replaced"], *journal["removed"], *chain(*journal["replaced"].values())]
    parts = [*names, *journal["staged"].split("/")]
    if not all(parts) or not {".", ".."}.isdisjoint(parts) or any("/" in name for name in names):
        raise SchemaError(
            "A journal names files outside of its table, which none of popspark's own does.",
            where=path,
            got=", ".join(parts),
            fix="find out who wrote it, then delete it",
        )
    return journal


def _roll_forward(fs: Any, root: str, journal: dict[str, Any]) -> None:
    for slice_name, files in journal["replaced"].items():
        target, source = f"{root}/{slice_name}", f"{root}/{journal['staged']}/{slice_name}"
        fs.makedirs(target, exist_ok=True)
        wanted = [f"part-{place:05d}.parquet" for place in range(len(files))]
        for staged, name in zip(files, wanted, strict=True):
            if fs.exists(f"{source}/{staged}"):  # else it was moved before
                replace_file(fs, f"{source}/{staged}", f"{target}/{name}")
        for name in set(_names(fs, target)) - set(wanted):
            fs.rm(f"{target}/{name}", recursive=True)
    present = _names(fs, root)
    for name in journal["removed"]:
        if name in present:
            fs.rm(f"{root}/{name}", recursive=True)


def settle(folder: str, run_id: str = "reader") -> None:
    """Before reading: waits for a publication in progress, and ends one whose run died."""
    fs, root = url_to_fs(folder)
    while any(name.startswith(JOURNAL) for name in _names(fs, root)):
        try:
            with TableLock(folder, run_id, 0):
                LOG.warning("ending the publication that a run left in %s", folder)
                recover(folder)
        except LockError:  # the writer lives; its renames take milliseconds
            time.sleep(POLL_SECONDS)
