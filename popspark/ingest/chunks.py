"""The same range of rows of several tables, as columns or as text; plain Python, runs on executors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from popspark.ingest.json_texts import parse_objects
from popspark.ingest.row_files import RowFile, as_text, read_objects, read_rows

IDS = ("Uid", "Pid")


@dataclass(frozen=True)
class Part:
    """Tables by role, of which the first `n_rows` rows belong together: arrays of JSON objects, and values a line.

    chunk_rows: so many are read at once.
    """

    name: str
    arrays: dict[str, RowFile]
    lists: dict[str, RowFile]
    n_rows: int
    chunk_rows: int


@dataclass(frozen=True)
class LooseRows:
    """Rows from `first`, counted from 0, up to `last`, that belong to no post, and why."""

    file: RowFile
    is_array: bool
    first: int
    last: int
    reason: str


def read_chunk(
    part: Part, first: int, last: int, fields: Mapping[str, Sequence[str]], lists: Sequence[str], spine: str
) -> pa.RecordBatch:
    """The columns of `popspark.ingest.side_by_side.read_parts`, of the rows from `first`, counted from 0, to `last`."""
    n = last - first
    columns = {"part": pa.repeat(pa.scalar(part.name), n), "place": pa.array(range(first + 1, last + 1), pa.int64())}
    columns["base64"] = pa.nulls(n, pa.string())
    for role, names in fields.items():
        objects, is_cut = _objects(part.arrays[role], first, last) if role in part.arrays else ([], False)
        texts, faults = parse_objects(objects, names)
        if is_cut:
            faults = pa.concat_arrays([faults[:-1], pa.array(["truncated_json"])])
        columns |= {f"{role}_{name}": _pad(column, n) for name, column in zip(names, texts, strict=True)}
        columns[f"{role}_fault"] = _pad(faults, n)
        columns["base64"] = pc.coalesce(columns["base64"], _pad(_base64(objects), n))
    if spine in fields:
        for role in fields:
            if role != spine:
                columns |= _compare_ids(columns, role, spine)
    for role in lists:
        rows = _rows(part.lists[role], first, last) if role in part.lists else []
        columns[f"{role}_value"] = _pad(_values(rows), n)
    return pa.RecordBatch.from_pydict(columns)


def _objects(file: RowFile, first: int, last: int) -> tuple[list[bytes], bool]:
    return read_objects(file, first, min(last, file.n_rows))


def _rows(file: RowFile, first: int, last: int) -> list[bytes]:
    return read_rows(file, first, min(last, file.n_rows))


def _pad(column: pa.Array, n: int) -> pa.Array:
    """Nulls where the table has ended before the others."""
    return column if len(column) == n else pa.concat_arrays([column, pa.nulls(n - len(column), column.type)])


def _base64(objects: Sequence[bytes]) -> pa.Array:
    if b"".join(objects).isascii():
        return pa.nulls(len(objects), pa.string())
    return pa.array([None if one.isascii() else as_text(one)[1] for one in objects], pa.string())


def _values(rows: Sequence[bytes]) -> pa.Array:
    """Null for an empty line: a row without a value."""
    try:
        texts = pa.array(rows, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8
        texts = pa.array([as_text(row)[0] for row in rows], pa.string())
    trimmed = pc.ascii_trim(texts, " \r")
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _compare_ids(columns: Mapping[str, pa.Array], role: str, spine: str) -> dict[str, pa.Array]:
    """Whether each row's ids are written as those of `spine`; where all are, they are not sent a second time."""
    uid, pid = (pc.fill_null(pc.equal(columns[f"{role}_{name}"], columns[f"{spine}_{name}"]), False) for name in IDS)
    same = pc.and_(uid, pid)
    found = {f"{role}_has_same_ids": same}
    if same.false_count == 0:
        found |= {f"{role}_{name}": pa.nulls(len(same), pa.string()) for name in IDS}
    return found


def read_texts(part: Part, first: int, last: int) -> list[str]:
    """Of each row the text of all the tables, below each other, lossless."""
    columns = [_objects(file, first, last)[0] for file in part.arrays.values()]
    columns += [[row.rstrip(b"\r") for row in _rows(file, first, last)] for file in part.lists.values()]
    return ["\n".join(_lossless(rows[i]) for rows in columns if i < len(rows)) for i in range(last - first)]


def _lossless(content: bytes) -> str:
    text, encoded = as_text(content)
    return f"{text}\nbase64:{encoded}" if encoded else text


def read_loose_rows(loose: LooseRows) -> Iterator[pa.RecordBatch]:
    """file, line, raw and reason of each; an empty line is not a row."""
    for first in range(loose.first, loose.last, CHUNK_ROWS):
        last = min(first + CHUNK_ROWS, loose.last)
        faults: list[str | None] = [None] * (last - first)
        if loose.is_array:
            rows, is_cut = read_objects(loose.file, first, last)
            faults = parse_objects(rows, ())[1].to_pylist()
            faults[-1] = "truncated_json" if is_cut else faults[-1]
        else:
            rows = read_rows(loose.file, first, last)
        found = [
            (loose.file.path, line, _lossless(row).rstrip("\r"), fault or loose.reason)
            for line, row, fault in zip(range(first + 1, last + 1), rows, faults, strict=True)
            if row.strip(b" \r")
        ]
        columns = list(zip(*found, strict=True)) or [()] * 4
        types = (pa.string(), pa.int64(), pa.string(), pa.string())
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, ["file", "line", "raw", "reason"])


CHUNK_ROWS = 10_000
"""Rows without a post, read at once."""
