"""JSON text in chunks to its values, also where it is cut, malformed, or a table by columns; plain Python."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, groupby
from typing import Any

MAX_RECORD_CHARS = 256 * 1024 * 1024
"""A record longer than this is cut: it is a file without separators, not a post."""
RESYNC_CHARS = 4 * 1024 * 1024
HEAD_CHARS = 4096

_GAP = re.compile("[\\s,\ufeff]*")
_NEXT_ELEMENT = re.compile(r"\}\s*,\s*(?=\{\s*\")")
_CALL, _CALL_END, CALL_END_CHARS = "jsonFlickrApi(", re.compile(r"\)\s*;?\s*$"), 16
_DECODER = json.JSONDecoder()
_CELL_DECODER = json.JSONDecoder(parse_int=str)  # a number of any length ends where its digits end
_HALF = re.compile("[\ud800-\udfff]")


def whole_text(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair: "\\ud800" alone is JSON, but no text."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def as_text(value: Any) -> str | None:
    """A JSON value as text: a string as it is, null as None, and any other as JSON."""
    if value is None:
        return None
    return whole_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def iter_json(chunks: Iterator[str]) -> Iterator[tuple[int, str, str | None]]:
    """(line, text, fault) of JSON values one after another, or of the elements of the arrays at the top.

    A value that is no JSON ends where the next one visibly begins: before a line that starts with a brace or, in an
    array, at `}, {"` once so much was read that no element can still be incomplete.
    """
    chunks = _without_call(chunks)
    held, pos, line, is_over, wanted = "", 0, 1, False, 0
    in_array = False
    last_fault: str | None = None
    while True:
        after = _GAP.match(held, pos).end()  # type: ignore[union-attr]  # it matches the empty text
        line += held.count("\n", pos, after)
        pos = after
        if held[pos : pos + 1] == ("]" if in_array else "["):
            in_array, pos = not in_array, pos + 1
            continue
        fault, end = None, 0
        if pos < len(held) and (is_over or len(held) - pos >= wanted):
            try:
                end = _DECODER.raw_decode(held, pos)[1]
            except (ValueError, RecursionError):  # also a number of more digits than Python reads
                end = _end_of_garbage(held, pos, in_array, is_over)
                fault = "not_json" if end < len(held) else "truncated_json"
            if end == len(held) and not is_over and held[-1] not in "}]":
                end = 0  # a number may go on in the next chunk
        if end:
            yield line, held[pos:end], fault
            last_fault = fault
            line += held.count("\n", pos, end)
            pos, wanted = end, 0
        elif is_over:
            if in_array and not last_fault:
                yield line, "", "truncated_json"  # the closing bracket never came
            return
        else:
            # Decoded again only once it has doubled: a large value costs a few tries, not one a chunk.
            wanted = 2 * (len(held) - pos)
            chunk = next(chunks, "")
            held, pos, is_over = held[pos:] + chunk, 0, not chunk


def _without_call(chunks: Iterator[str]) -> Iterator[str]:
    """The text without the `jsonFlickrApi(...)` around it, in which Flickr answers unless told otherwise."""
    head = ""
    while len(head) < len(_CALL) + CALL_END_CHARS and (chunk := next(chunks, "")):
        head += chunk
    if not head.lstrip("\ufeff \r\n").startswith(_CALL):
        yield head
        yield from chunks
        return
    held = head.split(_CALL, 1)[1]
    for chunk in chunks:
        yield held[:-CALL_END_CHARS]
        held = held[-CALL_END_CHARS:] + chunk
    yield _CALL_END.sub("", held)


def _end_of_garbage(held: str, pos: int, in_array: bool, is_over: bool) -> int:
    """The end of a value that cannot be decoded; 0 while more text may complete it."""
    line_start = held.find("\n{", pos + 1)
    if line_start >= 0:
        return line_start
    if in_array and (is_over or len(held) - pos >= RESYNC_CHARS) and (near := _NEXT_ELEMENT.search(held, pos + 1)):
        return near.start() + 1
    return len(held) if is_over or len(held) - pos > MAX_RECORD_CHARS else 0


_COLUMNS = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{')
_COLUMN_START = re.compile(r'[\s,{]*("(?:[^"\\]|\\.)*")\s*:\s*\{')
_COLUMN_END = re.compile(r"\s*\}")
_CELL_KEY = re.compile(r'[\s,]*"(\d+)"\s*:\s*')


def iter_json_rows(chunks: Iterator[str]) -> Iterator[tuple[int, str, str | None]]:
    """(row, text, fault) of the objects of a JSON table in the order of their rows, which count from 1.

    A table is an array of objects, or stands by columns: `{"Uid": {"0": "a", "1": "b"}, "Pid": {...}}` has the rows
    `{"Uid": "a", "Pid": ...}` and so on. Row 0 is a fault that belongs to no row.
    """
    head = ""
    while len(head) < HEAD_CHARS and (chunk := next(chunks, "")):
        head += chunk
    chunks = chain([head], chunks) if head else chunks
    if _COLUMNS.match(head):
        yield from _iter_rows_of_columns(chunks)
    else:
        for row, (_, text, fault) in enumerate(iter_json(chunks), start=1):
            yield row, text, fault


def _iter_rows_of_columns(chunks: Iterator[str]) -> Iterator[tuple[int, str, str | None]]:
    """`iter_json_rows` of a table by columns, whose cells wait in a temporary database on disk, not in memory."""
    with closing(sqlite3.connect("")) as database:
        database.execute("CREATE TABLE cells (row INTEGER, text BLOB, fault TEXT)")
        cells = ((row, text.encode("utf-8", "surrogateescape"), fault) for row, text, fault in _iter_cells(chunks))
        database.executemany("INSERT INTO cells VALUES (?, ?, ?)", cells)
        found = database.execute("SELECT row, text, fault FROM cells ORDER BY fault IS NOT NULL, row, rowid")
        for (row, fault), group in groupby(found, key=lambda cell: (cell[0], cell[2])):
            text = b", ".join(cell[1] for cell in group).decode("utf-8", "surrogateescape")
            yield row, text if fault else f"{{{text}}}", fault


def _iter_cells(chunks: Iterator[str]) -> Iterator[tuple[int, str, str | None]]:
    """(row, text, fault) of the cells of a table by columns; text is the name and value, `"Uid": "a"`."""
    held, pos, column = "", 0, ""
    while True:
        cell = _CELL_KEY.match(held, pos) if column else None
        start = _COLUMN_START.match(held, pos) if not column else None
        end = 0
        if cell:
            try:
                end = _CELL_DECODER.raw_decode(held, cell.end())[1]
            except (ValueError, RecursionError):
                end = 0
            if end == len(held):  # a number may go on in the next chunk
                end = 0
        if cell and end:
            yield int(cell[1]) + 1, f"{column}: {held[cell.end() : end]}", None
            pos = end
        elif start:
            column, pos = start[1], start.end()
        elif column and (closed := _COLUMN_END.match(held, pos)):
            column, pos = "", closed.end()
        else:
            chunk = next(chunks, "")
            if not chunk:
                if held[pos:].strip() != "}":
                    yield 0, held[pos:], "truncated_json"
                return
            held, pos = held[pos:] + chunk, 0
