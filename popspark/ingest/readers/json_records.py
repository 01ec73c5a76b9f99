"""JSON text in pieces to its values, also where it is cut, malformed, or a table by columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from popspark.ingest.readers.text_chunks import CHUNK_BYTES, MAX_RECORD_CHARS, TextChunks

_GAP = re.compile(r"[\s,]*")
_NEXT_ELEMENT = re.compile(r"\}\s*,\s*(?=\{\s*\")")
_DECODER = json.JSONDecoder()
RESYNC_CHARS = 4 * CHUNK_BYTES


def iter_json(source: TextChunks) -> Iterator[tuple[int, str, str | None]]:
    """(line, text, fault) of JSON values one after another, or of the elements of the arrays at the top.

    A value that is no JSON ends where the next one visibly begins: before a line that starts with a brace or, in an
    array, at `}, {"` once so much was read that no element can still be incomplete.
    """
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
            except (json.JSONDecodeError, RecursionError):
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
            chunk = source.chunk()
            held, pos, is_over = held[pos:] + chunk, 0, not chunk


def _end_of_garbage(held: str, pos: int, in_array: bool, is_over: bool) -> int:
    """Where a value that cannot be decoded ends; 0 while more may complete it."""
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


def iter_json_rows(source: TextChunks) -> Iterator[tuple[int, str, str | None]]:
    """(place from 1, text, fault) of the rows of a JSON table.

    An array of objects gives each object. A table by columns, `{"Uid": {"0": "a", "1": "b"}, "Pid": {...}}`, gives one
    record per cell, `{"uid": "a"}` at place 1, with its name in lower case; to put them together takes the whole
    table, which is Spark's task.
    """
    if not _COLUMNS.match(source.peek()):
        for place, (_, text, fault) in enumerate(iter_json(source), start=1):
            yield place, text, fault
        return
    held, pos, column = "", 0, ""
    while True:
        cell = _CELL_KEY.match(held, pos) if column else None
        start = _COLUMN_START.match(held, pos) if not column else None
        end = 0
        if cell:
            try:
                end = _DECODER.raw_decode(held, cell.end())[1]
            except json.JSONDecodeError:
                end = 0
            if end == len(held):  # a number may go on in the next chunk
                end = 0
        if cell and end:
            yield int(cell[1]) + 1, f"{{{column.lower()}: {held[cell.end() : end]}}}", None
            pos = end
        elif start:
            column, pos = start[1], start.end()
        elif column and (closed := _COLUMN_END.match(held, pos)):
            column, pos = "", closed.end()
        else:
            chunk = source.chunk()
            if not chunk:
                if held[pos:].strip() != "}":
                    yield 0, held[pos:], "truncated_json"
                return
            held, pos = held[pos:] + chunk, 0
