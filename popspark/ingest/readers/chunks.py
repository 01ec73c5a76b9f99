"""The same range of rows of several tables, as columns or as text; plain Python, runs on executors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from popspark.ingest.readers import arrow_values
from popspark.ingest.readers.json_texts import parse_alike, parse_each, parse_objects
from popspark.ingest.readers.row_files import RowFile, as_text, read_joined, read_objects, read_rows

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


@dataclass(frozen=True)
class Wanted:
    """What is read of the tables, and what is made of it.

    fields: of arrays, by role. lists: roles. spine: the role whose ids the others are compared to. values: what columns
    are converted to where they are plain, see `popspark.ingest.readers.arrow_values`. extras: by name in
    `extra`, the column
    whose text it is; of `hashed` the sha256 behind the salt, or the text where that is None.
    """

    fields: dict[str, tuple[str, ...]]
    lists: tuple[str, ...]
    spine: str
    values: dict[str, str]
    extras: dict[str, str]
    hashed: str
    salt: str | None

    @property
    def columns(self) -> dict[str, str]:
        """Those of `read_chunk`, with their types: without the text that is only for `extra`, and ids compared here."""
        found = {"part": "string", "place": "bigint", "fault": "string", "has_same_ids": "boolean"}
        found["extra"] = "map<string,string>"
        for role, names in self.fields.items():
            is_compared = role != self.spine and self.spine in self.fields
            found |= {f"{role}_{name}": "string" for name in names if not (is_compared and name in IDS)}
        found |= {f"{role}_line": "string" for role in self.lists}
        found = {name: kind for name, kind in found.items() if name not in self.extras.values() or name == "part"}
        for name, kind in self.values.items():
            if name in found:
                pattern, _, type_name = arrow_values.KINDS[kind]
                found[f"{name}_value"] = type_name
                if pattern is None:
                    del found[name]  # no text is left
        return found


def read_chunk(part: Part, first: int, last: int, wanted: Wanted) -> pa.RecordBatch:
    """The rows from `first`, counted from 0, up to `last`.

    part, place           names the row; place counts from 1
    fault                 null, or why the first object that is none is not
    has_same_ids          whether all arrays have the ids of the spine, where that is among them
    <role>_<field>        of an array, as text; null where its table has ended
    <role>_line           of a list, as text; null on an empty line
    <text>_value          of a text that is plain, which then is null
    extra                 what is given of `wanted.extras`; `base64` is of the first object that is not UTF-8
    """
    n = last - first
    empty = pa.nulls(n, pa.string())
    columns = {"part": pa.repeat(pa.scalar(part.name), n), "place": pa.array(range(first + 1, last + 1), pa.int64())}
    columns |= {"fault": empty, "base64": empty}
    for role, names in wanted.fields.items():
        texts, faults, base64 = _parse_table(part.arrays.get(role), first, last, names)
        columns |= {f"{role}_{name}": _pad(column, n) for name, column in zip(names, texts, strict=True)}
        columns["fault"] = pc.coalesce(columns["fault"], _pad(faults, n))
        columns["base64"] = pc.coalesce(columns["base64"], _pad(base64, n))
    for role in wanted.lists:
        rows = _rows(part.lists[role], first, last) if role in part.lists else []
        columns[f"{role}_line"] = _pad(_lines(rows), n)
    same = [
        arrow_values.same_ids(columns[f"{role}_{name}"], columns[f"{wanted.spine}_{name}"])
        for role in wanted.fields
        if role != wanted.spine
        for name in IDS
        if wanted.spine in wanted.fields
    ]
    columns["has_same_ids"] = reduce(pc.and_, same, pa.repeat(pa.scalar(True), n))
    for name, kind in wanted.values.items():
        if name in columns:
            columns[f"{name}_value"], columns[name] = arrow_values.plain_values(columns[name], kind)
    extras = {name: arrow_values.given(columns.get(column, empty)) for name, column in wanted.extras.items()}
    if wanted.salt is not None:
        extras[wanted.hashed] = arrow_values.hashed(extras[wanted.hashed], wanted.salt)
    columns["extra"] = arrow_values.extras(extras)
    return pa.RecordBatch.from_pydict({name: columns[name] for name in wanted.columns})


def _parse_table(
    file: RowFile | None, first: int, last: int, names: Sequence[str]
) -> tuple[list[pa.Array], pa.Array, pa.Array]:
    """The columns of text, faults, and bytes that are not UTF-8; of as many rows as the table has."""
    n = max(min(last, file.n_rows) - first, 0) if file else 0
    if file is None or n == 0:
        none = pa.nulls(0, pa.string())
        return [none] * len(names), none, none
    text, head, is_cut = read_joined(file, first, first + n)
    texts = parse_alike(text, head, names, n)
    if texts is not None:
        faults = base64 = pa.nulls(n, pa.string())
    else:
        objects = read_objects(file, first, first + n)[0]
        texts, faults = parse_each(objects, names)
        base64 = pa.array([None if one.isascii() else as_text(one)[1] for one in objects], pa.string())
    if is_cut:
        faults = pa.concat_arrays([faults[:-1], pa.array(["truncated_json"])])
    return texts, faults, base64


def _objects(file: RowFile, first: int, last: int) -> tuple[list[bytes], bool]:
    return read_objects(file, first, min(last, file.n_rows))


def _rows(file: RowFile, first: int, last: int) -> list[bytes]:
    return read_rows(file, first, min(last, file.n_rows))


def _pad(column: pa.Array, n: int) -> pa.Array:
    """Nulls where the table has ended before the others."""
    return column if len(column) == n else pa.concat_arrays([column, pa.nulls(n - len(column), column.type)])


def _lines(rows: Sequence[bytes]) -> pa.Array:
    """Null for an empty line: a row without a value."""
    try:
        texts = pa.array(rows, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8
        texts = pa.array([as_text(row)[0] for row in rows], pa.string())
    trimmed = pc.ascii_trim(texts, " \r")
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def read_texts(part: Part, first: int, last: int) -> list[str]:
    """Of each row the text of all the tables, below each other, lossless."""
    columns = [_objects(file, first, last)[0] for file in part.arrays.values()]
    columns += [[row.rstrip(b"\r") for row in _rows(file, first, last)] for file in part.lists.values()]
    return ["\n".join(_lossless(rows[i]) for rows in columns if i < len(rows)) for i in range(last - first)]


def _lossless(content: bytes) -> str:
    text, encoded = as_text(content)
    return f"{text}\nbase64:{encoded}" if encoded else text


def read_loose_rows(loose: LooseRows) -> pa.RecordBatch:
    """file, line, raw and reason of each; an empty line is not a row."""
    faults: list[str | None] = [None] * (loose.last - loose.first)
    if loose.is_array:
        rows, is_cut = read_objects(loose.file, loose.first, loose.last)
        faults = parse_objects(rows, ())[1].to_pylist()
        faults[-1] = "truncated_json" if is_cut else faults[-1]
    else:
        rows = [row.rstrip(b"\r") for row in read_rows(loose.file, loose.first, loose.last)]
    found = [
        {"file": loose.file.path, "line": line, "raw": _lossless(row), "reason": fault or loose.reason}
        for line, (row, fault) in enumerate(zip(rows, faults, strict=True), start=loose.first + 1)
        if row.strip(b" ")
    ]
    types = {"file": pa.string(), "line": pa.int64(), "raw": pa.string(), "reason": pa.string()}
    return pa.RecordBatch.from_pylist(found, pa.schema(types))
