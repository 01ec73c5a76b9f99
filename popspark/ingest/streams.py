"""One file as a stream of records, in memory bounded by the largest record; plain Python, runs on executors.

A container that ends too early, JSON that does not, and bytes that are not UTF-8 all become records with a fault or
with their bytes: nothing of the file is dropped but empty lines, hidden entries and `__MACOSX` entries of a zip.
"""

from __future__ import annotations

import base64
import codecs
import csv
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal, Protocol, cast
from urllib.parse import unquote

MAX_RECORD_CHARS = 256 * 1024 * 1024
CHUNK_BYTES = 1 << 20

Record = tuple[str, int, str, str | None, str | None]
"""file, line, raw, raw_base64, fault: see `popspark.ingest.records`."""


@dataclass(frozen=True)
class Layout:
    """How a file falls into records.

    kind: `separated` by `separator`; `json`, a sequence of JSON values or an array of them, each element a record,
        see `iter_json`; `json_rows`, the same counted in elements instead of lines, or column by column, see
        `iter_json_rows`; `csv`, each row below the header a record, see `iter_csv`.
    """

    kind: Literal["separated", "json", "json_rows", "csv"]
    separator: str = "\n"
    delimiter: str = ","


class TextChunks(Protocol):
    """Text in pieces."""

    def chunk(self) -> str:
        """The next piece, empty at the end."""

    def separated(self, separator: str) -> Iterator[str]:
        """What stands between separators."""


def is_container(path: str) -> bool:
    """Whether the file has to be unpacked first."""
    return path.lower().endswith((".gz", ".zip"))


def _local(path: str) -> str:
    return unquote(path.removeprefix("file://").removeprefix("file:")) if path.startswith("file:") else path


def _open_members(path: str) -> Iterator[tuple[str, IO[bytes] | None, str | None]]:
    """(name, stream, fault) of each file in `path`: of a zip container its entries, else the file itself."""
    lower = path.lower()
    if lower.endswith(".zip"):
        try:
            with zipfile.ZipFile(_local(path)) as container:
                for info in container.infolist():
                    base = info.filename.rsplit("/", 1)[-1]
                    if info.is_dir() or "__MACOSX" in info.filename.split("/") or base.startswith("."):
                        continue
                    with container.open(info) as stream:
                        yield f"{path}!/{info.filename}", stream, None
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            yield path, None, f"bad_container: {error}"
    elif lower.endswith(".gz"):
        with gzip.open(_local(path)) as unpacked:
            yield path, cast(IO[bytes], unpacked), None
    else:
        with open(_local(path), "rb") as stream:
            yield path, stream, None


def _as_record(name: str, line: int, text: str, fault: str | None) -> Record:
    """The record of text that was decoded with surrogateescape: undecodable bytes are lone surrogates in it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
        return name, line, raw.decode("utf-8", "replace"), base64.b64encode(raw).decode("ascii"), fault
    return name, line, text, None, fault


class _Source:
    """A stream as text; remembers why it ended early, where it did."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._put_back = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._is_first = True
        self.fault: str | None = None

    def chunk(self) -> str:
        """The next text, empty at the end."""
        text, self._put_back = self._put_back, ""
        while not text and not self.fault:
            try:
                raw = self._stream.read(CHUNK_BYTES)
            except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
                self.fault = f"bad_container: {error}"
                raw = b""
            text = self._decode(raw, final=not raw)
            if not raw:
                break
        if text and self._is_first:
            self._is_first, text = False, text.removeprefix("\ufeff")
        return text

    def peek(self) -> str:
        """What the next `chunk` returns."""
        self._put_back = self.chunk()
        return self._put_back

    def separated(self, separator: str) -> Iterator[str]:
        """What stands between separators; a record over `MAX_RECORD_CHARS` is cut."""
        held = ""
        while chunk := self.chunk():
            *whole, held = (held + chunk).split(separator)
            yield from whole
            if len(held) > MAX_RECORD_CHARS:
                yield held
                held = ""
        if held:
            yield held


def iter_records(path: str, layout: Layout) -> Iterator[Record]:
    """The records of one file, in order."""
    for name, stream, fault in _open_members(path):
        if stream is None:
            yield name, 0, "", None, fault
            continue
        source = _Source(stream)
        if layout.kind == "separated":
            for line, text in enumerate(source.separated(layout.separator), start=1):
                yield _as_record(name, line, text.rstrip("\r"), None)
        else:
            if layout.kind == "csv":
                rows = iter_csv(source, layout.delimiter)
            else:
                rows = iter_json(source) if layout.kind == "json" else iter_json_rows(source)
            for line, text, fault in rows:
                yield _as_record(name, line, text, fault)
        if source.fault:
            yield name, 0, "", None, source.fault


_GAP = re.compile(r"[\s,]*")
_NEXT_ELEMENT = re.compile(r"\}\s*,\s*(?=\{\s*\")")
_DECODER = json.JSONDecoder()
_RESYNC_CHARS = 4 * CHUNK_BYTES


def iter_json(source: TextChunks) -> Iterator[tuple[int, str, str | None]]:
    """(line, text, fault) of JSON values one after another, or of the elements of the arrays at the top.

    A value that is no JSON ends where the next one visibly begins: before a line that starts with a brace or, in an
    array, at `}, {"` once so much was read that no element can still be incomplete.
    """
    held, pos, line, is_over, wanted = "", 0, 1, False, 0
    in_array = False
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
            line += held.count("\n", pos, end)
            pos, wanted = end, 0
        elif is_over:
            if in_array:
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
    if in_array and (is_over or len(held) - pos >= _RESYNC_CHARS) and (near := _NEXT_ELEMENT.search(held, pos + 1)):
        return near.start() + 1
    return len(held) if is_over or len(held) - pos > MAX_RECORD_CHARS else 0


_COLUMNS = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{')
_COLUMN_START = re.compile(r'[\s,{]*("(?:[^"\\]|\\.)*")\s*:\s*\{')
_CELL_KEY = re.compile(r'[\s,]*"(\d+)"\s*:\s*')


def iter_json_rows(source: _Source) -> Iterator[tuple[int, str, str | None]]:
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
        elif column and (closed := re.compile(r"\s*\}").match(held, pos)):
            column, pos = "", closed.end()
        else:
            chunk = source.chunk()
            if not chunk:
                if held[pos:].strip() != "}":
                    yield 0, held[pos:], "truncated_json"
                return
            held, pos = held[pos:] + chunk, 0


def iter_csv(source: TextChunks, delimiter: str) -> Iterator[tuple[int, str, str | None]]:
    """(line, text, fault) of each row below the header; text is a JSON object {"row": the text, "values": {...}}.

    A quoted field may hold newlines. A row whose number of fields is not the header's is a fault; where that row took
    in several lines, a quote was left open: only its first line is the fault, and reading goes on with the next.
    """
    lines = _Lines(source)
    header = next(csv.reader(lines, delimiter=delimiter), None)
    if header is None:
        return
    while True:
        first = lines.number + 1
        lines.taken.clear()
        try:
            row = next(csv.reader(lines, delimiter=delimiter), None)
        except csv.Error:
            row = []
        if row is None and not lines.taken:
            return
        if row is not None and len(row) == len(header):
            values = dict(zip(header, row, strict=True))
            yield (
                first,
                json.dumps({"row": "".join(lines.taken).rstrip("\r\n"), "values": values}, ensure_ascii=False),
                None,
            )
            continue
        bad = lines.keep_first()
        if bad.strip():
            yield first, bad.rstrip("\r\n"), "wrong_field_count"


class _Lines:
    """Lines that can be put back."""

    def __init__(self, source: TextChunks) -> None:
        self._fresh = (line + "\n" for line in source.separated("\n"))
        self._again: list[str] = []
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._fresh)
        self.taken.append(line)
        self.number += 1
        return line

    def keep_first(self) -> str:
        """The first line taken; the others are put back."""
        first, *others = self.taken
        self._again.extend(reversed(others))
        self.number -= len(others)
        return first
