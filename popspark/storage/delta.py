"""The log of a Delta table in a folder: what its version holds, and the one commit that makes files count.

Files are written and read elsewhere (`popspark.storage.files`, `popspark.storage.warehouse`); here is what makes them a
table. Only this commits to a table by path, by deltalake, which needs no jar. What deltalake does not check is checked
here: that nothing in the table's protocol means more than its list of files, and that a commit follows the version that
its rows were made from.

Knows no Spark: training reads the same versions.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs

from popspark.runtime.errors import ConfigError, LockError, SchemaError

if TYPE_CHECKING:
    from deltalake import DeltaTable

READER_FEATURES = frozenset({"timestampNtz"})
WRITER_FEATURES = READER_FEATURES | {"appendOnly", "invariants", "changeDataFeed"}
BEGUN = "_begun"
"""A file in the log of a table of which no version exists yet."""
BY_NAME = "read it by its name in a catalog, table:CATALOG.SCHEMA.NAME, from a session that has Delta Lake"


@dataclass(frozen=True)
class DataFile:
    """A file of a table. path: below the table's folder, its slice's folder first (`split=train/3f.parquet`)."""

    path: str
    n_bytes: int
    n_rows: int

    @property
    def slices(self) -> dict[str, str]:
        """The values of the columns that the table is partitioned by."""
        return dict(name.split("=", 1) for name in self.path.split("/")[:-1])


@dataclass(frozen=True)
class Version:
    """What a table holds at one moment. folder: as `locate_folder` gives it. schema: as Spark writes types as JSON."""

    folder: str
    number: int
    schema: str
    partitioned_by: tuple[str, ...]
    files: tuple[DataFile, ...] = field(repr=False)
    table_id: str = ""
    """Of the table, which another one in its place does not have."""

    def paths(self, **slices: str) -> list[str]:
        """Of all files, or of those whose slice has these values, sorted."""
        found = (file.path for file in self.files if slices.items() <= file.slices.items())
        return [f"{self.folder}/{path}" for path in sorted(found)]


def locate_folder(path: str) -> str:
    """The folder of a table by path: absolute where it is local, and as it is given on a store; no slash at its end."""
    if path.startswith("file:") or "://" not in path:
        path = str(url_to_fs(path)[1])
    return path.rstrip("/")


def check_folder(folder: str) -> None:
    """Raises `ConfigError` for a folder whose name deltalake would decode, and then look for another one."""
    if found := re.search("%[0-9a-fA-F]{2}|\\\\", folder):
        raise ConfigError(
            "The path of a table holds what stands for another character in a URL.",
            where=folder,
            got=found[0],
            legal="no % before two hexadecimal digits, and no backslash",
            fix="rename the folder",
        )


def is_delta(folder: str) -> bool:
    """Whether a Delta table is there, whole or damaged, rather than nothing, other files, or the begin of one."""
    fs, root = url_to_fs(folder)
    fs.invalidate_cache(f"{root}/_delta_log")
    return bool(fs.exists(f"{root}/_delta_log")) and not is_begun(folder)


def is_begun(folder: str) -> bool:
    """Whether files were written for a table that no commit has made yet, so that they are nothing."""
    fs, root = url_to_fs(folder)
    if not fs.exists(f"{root}/_delta_log/{BEGUN}"):
        return False
    return not any(name.endswith((".json", ".parquet")) for name in fs.ls(f"{root}/_delta_log", detail=False))


def begin_table(folder: str) -> None:
    """Says that the files which are written next are nothing until the first commit names them."""
    fs, root = url_to_fs(folder)
    fs.makedirs(f"{root}/_delta_log", exist_ok=True)
    fs.pipe_file(f"{root}/_delta_log/{BEGUN}", b"")


def end_beginning(folder: str) -> None:
    """After the first commit, or where none comes and the files are gone."""
    fs, root = url_to_fs(folder)
    with suppress(OSError):
        if is_begun(folder):
            fs.rm(f"{root}/_delta_log", recursive=True)
        else:
            fs.rm_file(f"{root}/_delta_log/{BEGUN}")


def read_version(path: str, number: int | None = None) -> Version | None:
    """The newest version of the table at `path`, or that of the number; None where no Delta table is.

    Raises `SchemaError` for a log that cannot be read, and for a table that is more than a list of files.
    """
    folder = locate_folder(path)
    if not is_delta(folder):
        return None
    return _version(open_log(folder, number), folder)


def open_log(folder: str, number: int | None = None) -> DeltaTable:
    """The table as deltalake has it; raises `SchemaError` for a log that cannot be read."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    check_folder(folder)
    try:
        return DeltaTable(folder, version=number)
    except (DeltaError, OSError) as error:
        raise SchemaError(
            "The log of this Delta table cannot be read.",
            where=folder,
            got=str(error).splitlines()[0],
            fix="restore _delta_log from a copy, or the table under another path",
        ) from error


def _version(log: DeltaTable, folder: str) -> Version:
    check_readable(log, folder)
    added = log.get_add_actions(flatten=True)
    columns = {name: added.column(name).to_pylist() for name in ("path", "size_bytes", "num_records")}
    files = tuple(DataFile(path, size, n or 0) for path, size, n in zip(*columns.values(), strict=True))
    partitioned_by = tuple(log.metadata().partition_columns)
    for name in partitioned_by:
        values = added.column(f"partition.{name}").to_pylist()
        if any(file.slices.get(name) != str(value) for file, value in zip(files, values, strict=True)):
            raise _is_refused(folder, f"files of {name} outside of folders {name}=VALUE", READABLE)
    return Version(folder, log.version(), log.schema().to_json(), partitioned_by, files, str(log.metadata().id))


READABLE = f"tables of plain files: reader features {', '.join(READER_FEATURES)}, no column mapping"
WRITABLE = f"{READABLE}; writer features {', '.join(sorted(WRITER_FEATURES))}, no constraints, no generated columns"


def check_readable(log: DeltaTable, folder: str) -> None:
    """Raises `SchemaError` where the rows are not those of the files: deltalake itself opens everything."""
    protocol, settings = log.protocol(), log.metadata().configuration
    features = set(protocol.reader_features or ())
    if excess := features - READER_FEATURES:
        raise _is_refused(folder, ", ".join(sorted(excess)), READABLE)
    if protocol.min_reader_version == 2 and settings.get("delta.columnMapping.mode", "none") != "none":
        raise _is_refused(folder, "column mapping", READABLE)


def check_writable(log: DeltaTable, folder: str) -> None:
    """Raises `SchemaError` where a writer would have to do more than add files."""
    protocol, settings = log.protocol(), log.metadata().configuration
    excess = sorted(set(protocol.writer_features or ()) - WRITER_FEATURES)
    excess += sorted(name for name in settings if name.startswith("delta.constraints."))
    excess += [
        f"{name} of column {column.name}"
        for column in log.schema().fields
        for name in column.metadata
        if name.startswith(("delta.generationExpression", "delta.identity", "CURRENT_DEFAULT", "delta.columnMapping"))
    ]
    if settings.get("delta.appendOnly", "false").lower() == "true":
        excess.append("delta.appendOnly")
    if excess:
        raise _is_refused(folder, ", ".join(excess), WRITABLE)


def _is_refused(folder: str, got: str, legal: str) -> SchemaError:
    what = "This Delta table needs a reader or writer of its own."
    return SchemaError(what, where=folder, got=got, legal=legal, fix=BY_NAME)


def commit(
    folder: str,
    base: Version | None,
    schema: str,
    partitioned_by: Sequence[str],
    files: Iterable[DataFile],
    replaced: Iterable[str] | None,
    facts: Mapping[str, Any],
    *,
    name: str = "",
) -> int:
    """Makes the files count, and others not, in one act; returns the new version's number.

    base: the version that the rows were made from, None where there was none. replaced: values of the first column of
    `partitioned_by` whose slices the files take the place of; empty to append, None to replace all. facts: what the
    history shall say. Raises `LockError` where the table has moved on since `base`.
    """
    from deltalake import CommitProperties, Schema
    from deltalake.exceptions import CommitFailedError, DeltaError
    from deltalake.transaction import AddAction, create_table_with_add_actions

    now, commit_id = int(time.time() * 1000), uuid.uuid4().hex
    added = [
        AddAction(file.path, file.n_bytes, file.slices, now, True, json.dumps({"numRecords": file.n_rows}))
        for file in files
    ]
    # Never deltalake's own retries: with them two writers that make one slice both succeed.
    properties = CommitProperties(custom_metadata={**facts, "commit_id": commit_id}, max_commit_retries=0)
    wanted, columns = Schema.from_json(schema), list(partitioned_by)
    try:
        if base is None:
            create_table_with_add_actions(
                folder, wanted, added, mode="error", partition_by=columns, name=name, commit_properties=properties
            )
            end_beginning(folder)
            return 0
        log = open_log(folder, base.number)
        check_writable(log, folder)
        values = None if replaced is None else sorted(set(replaced))
        log.create_write_transaction(
            list[Any](added),  # of adds and removes
            "append" if values == [] else "overwrite",
            wanted,
            columns,
            [(columns[0], "in", values)] if values else None,
            commit_properties=properties,
        )
        return base.number + 1
    except (CommitFailedError, DeltaError) as error:
        moved = read_version(folder)
        if moved is not None and open_log(folder).history(1)[0].get("commit_id") == commit_id:
            return moved.number  # it was done, and the answer was lost
        if moved is not None and (base is None or moved.number != base.number):
            raise LockError(
                "Another run has written this table meanwhile.",
                where=folder,
                got=f"version {moved.number}",
                legal="no table" if base is None else f"version {base.number}, which the rows were made from",
                fix="run the job again: nothing of this run counts",
            ) from error
        raise
