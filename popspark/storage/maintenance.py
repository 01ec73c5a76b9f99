"""What is done with a table by path between runs: history, restore, compaction, taking over Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

import popspark
from popspark.runtime.errors import PathError, SchemaError
from popspark.storage import tables
from popspark.storage.delta import (
    DataFile,
    check_folder,
    check_writable,
    commit,
    is_begun,
    is_delta,
    locate_folder,
    open_log,
)
from popspark.storage.schemas.table import Table

NEVER_MADE = "run the job that makes it, or delete the folder"
RETENTION_DAYS = 7
"""Files that no version of these days names are taken by a vacuum, so that a restore within them works."""


class Commit(NamedTuple):
    """One line of a table's history. run_id: of the run that made it; null where another program did."""

    version: int
    committed_at: datetime
    operation: str
    run_id: str | None


def _find(path: str) -> str:
    folder = locate_folder(path)
    if is_begun(folder):
        raise PathError("This table was never made: a run that began it was killed.", where=path, fix=NEVER_MADE)
    if not is_delta(folder):
        fix = f"popspark convert table={path}, where it is a table of Parquet"
        raise PathError("There is no Delta table.", where=path, fix=fix)
    return folder


@contextmanager
def _naming_faults(path: str) -> Iterator[None]:
    """Raises `SchemaError` where files of the table are gone, cut or closed, in place of a library's own error."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        got = str(error).splitlines()[0][:300]
        raise SchemaError("This table cannot be worked on.", where=path, got=got) from error


def read_history(path: str, limit: int | None = None) -> list[Commit]:
    """The commits of a table, the newest first."""
    found = open_log(_find(path)).history(limit)
    return [
        Commit(
            line["version"],
            datetime.fromtimestamp(line["timestamp"] / 1000, UTC),
            str(line.get("operation")),
            line.get("run_id"),
        )
        for line in found
    ]


def restore(path: str, target: int | datetime) -> int:
    """Makes an earlier version, by number or as of a time, the newest one; its number.

    Raises `SchemaError` where the log or a vacuum does not have it any more.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import DeltaError

    folder = _find(path)
    log = open_log(folder)
    check_writable(log, folder)
    first = datetime.fromtimestamp(log.history()[-1]["timestamp"] / 1000, UTC)
    if target == log.version():
        raise SchemaError("This version is the newest already.", where=path, got=target)
    if isinstance(target, datetime) and target < first:
        raise SchemaError(
            "The table was not there then.", where=path, got=target, legal=f"from {first:%Y-%m-%dT%H:%M:%S}"
        )
    try:
        log.restore(target, commit_properties=CommitProperties(max_commit_retries=0))
    except (DeltaError, OSError) as error:
        legal = f"versions 0 to {log.version()}, as long as no vacuum took their files"
        raise SchemaError(
            "This version cannot be restored.", where=path, got=f"{target}: {error}", legal=legal
        ) from error
    return open_log(folder).version()


def compact(path: str, vacuum: bool = False) -> dict[str, int]:
    """Brings small files together; vacuum: deletes what no version of the last `RETENTION_DAYS` names, also what runs
    that were killed left. Counts of files: added, removed, deleted.
    """
    folder = _find(path)
    log = open_log(folder)
    check_writable(log, folder)
    with _naming_faults(path):
        found = log.optimize.compact()
        counts = {"added": found["numFilesAdded"], "removed": found["numFilesRemoved"], "deleted": 0}
        if vacuum:
            deleted = open_log(folder).vacuum(RETENTION_DAYS * 24, dry_run=False, full=True)
            counts["deleted"] = len(deleted)
    return counts


def find_old_tables(path: str) -> list[str]:
    """The folders to convert: the tables of a warehouse that are Parquet yet, or the folder itself."""
    folder = locate_folder(path)
    fs, root = url_to_fs(folder)
    names = sorted({table.name for table in _all_tables()})
    below = [name for name in names if fs.isdir(f"{root}/{name}") and not is_delta(f"{folder}/{name}")]
    return [
        f"{folder}/{name}" for name in below if any(file.endswith(".parquet") for file in fs.find(f"{root}/{name}"))
    ] or [folder]


def convert(path: str) -> tuple[Table, int]:
    """A folder of Parquet of an earlier popspark to a Delta table, by a log beside the files; the table, its rows.

    No file is read but its footer, none is written again. Raises `SchemaError` for what is no table of popspark's, and
    `PathError` where there are no files.
    """
    folder = locate_folder(path)
    check_folder(folder)
    if is_begun(folder):
        raise SchemaError("This table was never made: a run that began it was killed.", where=path, fix=NEVER_MADE)
    if is_delta(folder):
        raise SchemaError("This is a Delta table already.", where=path)
    fs, root = url_to_fs(folder)
    if fs.isfile(root):
        raise PathError("A table is a folder, and this is a file.", where=path)
    if journals := fs.glob(f"{root}/_publish-*.json"):
        raise SchemaError(
            "A killed run of an earlier popspark left this table half way.",
            where=path,
            got=", ".join(journals),
            fix="run its job once more with the popspark that wrote it",
        )
    names = sorted(name.removeprefix(f"{root}/") for name in fs.find(root) if name.endswith(".parquet"))
    names = [name for name in names if not name.startswith(("_", ".")) and "/_" not in name]
    if not names:
        raise PathError("There are no Parquet files.", where=path)
    columns = dict[str, Any]()
    files = list[DataFile]()
    for name in names:
        with _naming_faults(f"{folder}/{name}"), fs.open(f"{root}/{name}") as stream:
            footer = pq.ParquetFile(stream)
            columns |= {field.name: _kind(field.type) for field in footer.schema_arrow}
            files.append(DataFile(name, fs.info(f"{root}/{name}")["size"], footer.metadata.num_rows))
    table = _recognise(set(columns) | set(files[0].slices), tuple(files[0].slices), path)
    kinds = {field.name: _kind(field.type) for field in table.arrow_schema}
    if wrong := [f"{name} is {kind}, must be {kinds[name]}" for name, kind in columns.items() if kind != kinds[name]]:
        raise SchemaError(f"These are not the columns of {table.name}.", where=path, got="; ".join(wrong))
    schema = json.dumps(table.schema.jsonValue())
    facts = {"popspark": popspark.__version__, "converted_from": "parquet"}
    commit(folder, None, schema, table.partitioned_by, files, None, facts, name=table.name)
    return table, sum(file.n_rows for file in files)


def _kind(kind: pa.DataType) -> str:
    """A type in words, whatever a list calls its elements."""
    if pa.types.is_map(kind):
        return f"map of {_kind(kind.key_type)} to {_kind(kind.item_type)}"
    return f"list of {_kind(kind.value_type)}" if pa.types.is_list(kind) else str(kind)


def _recognise(columns: set[str], slices: tuple[str, ...], path: str) -> Table:
    """The table whose columns, and slices, these are."""
    for table in _all_tables():
        if set(table.columns) == columns and table.partitioned_by == slices:
            return table
    best = max(_all_tables(), key=lambda table: len(columns & set(table.columns)) / len(columns | set(table.columns)))
    differing = sorted(columns ^ set(best.columns))
    raise SchemaError(
        "These are not the files of a table of popspark's.",
        where=path,
        got=f"closest is {best.name}, which differs by {', '.join(differing) or 'the columns it is partitioned by'}",
        legal=", ".join(dict.fromkeys(table.name for table in _all_tables())),
        fix="make it with the job that writes it",
    )


def _all_tables() -> Iterator[Table]:
    return (found for name in tables.__all__ if isinstance(found := getattr(tables, name), Table))


def parse_target(text: str) -> int | datetime:
    """`12`, or a time in ISO 8601, in UTC where it says no zone."""
    if text.isdigit():
        return int(text)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
