"""Bytes of many JSON objects to columns of text, as Spark's from_json gives them into string columns; on executors.

Objects that are all alike are parsed at once by pyarrow. Where that cannot be, because one is malformed, not UTF-8, or
holds a number where others hold text, each is parsed by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json

from popspark.ingest.readers.row_files import N_HEAD


def parse_objects(objects: Sequence[bytes], names: Sequence[str]) -> tuple[list[pa.Array], pa.Array]:
    """A column of text per name, matched without regard to case, and of faults: `not_json` or null."""
    columns = parse_alike(b"\n".join(objects), objects[:N_HEAD], names, len(objects))
    if columns is not None:
        return columns, pa.nulls(len(objects), pa.string())
    return parse_each(objects, names)


def parse_each(objects: Sequence[bytes], names: Sequence[str]) -> tuple[list[pa.Array], pa.Array]:
    """`parse_objects`, one after the other."""
    found = [_load(one) for one in objects]
    lowered = [{key.lower(): value for key, value in one.items()} if one is not None else {} for one in found]
    texts = [pa.array([_as_text(one.get(name.lower())) for one in lowered], pa.string()) for name in names]
    return texts, pa.array([None if one is not None else "not_json" for one in found], pa.string())


def _load(content: bytes) -> dict[str, Any] | None:
    """The object, its numbers as they are written; None if this is none."""
    try:
        found = _DECODER.decode(content.decode("utf-8", "replace"))
    except (json.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if not value.isascii() else str(value)
    return _write(value)


def _write(value: object) -> str:
    """Compact JSON with numbers as they were."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def parse_alike(joined: bytes, head: Sequence[bytes], names: Sequence[str], n: int) -> list[pa.Array] | None:
    """The columns of `parse_objects` from n objects one after the other; None where these are not all alike.

    head: the first of them, which tell how the file spells its names and what kinds its values have.
    """
    if not _is_utf8(joined):
        return None
    spelling: dict[str, str] = {}
    kinds: dict[str, pa.DataType] = {}
    for one in map(_load, head):
        for key, value in (one or {}).items():
            spelling.setdefault(key.lower(), key)
            if value is not None:
                kinds.setdefault(key, _kind(value))
    spelled = [spelling.get(name.lower(), name) for name in names]
    fields = [pa.field(name, kinds.get(name, pa.string())) for name in spelled]
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(joined),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            pyarrow.json.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != n:
        return None
    return [table.column(name).combine_chunks().cast(pa.string()) for name in spelled]


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _kind(value: object) -> pa.DataType:
    """What pyarrow can read without loss; of other kinds it refuses each value as text, and so the whole."""
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, _Number) and str(value).lstrip("-").isdigit():
        return pa.int64()
    return pa.string()
