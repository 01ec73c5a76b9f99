"""One file as a stream of records, in memory bounded by the largest record; plain Python, runs on executors.

A container that ends too early, JSON that does not, and bytes that are not UTF-8 all become records with a fault or
with their bytes: nothing of the file is dropped but empty lines, hidden entries and `__MACOSX` entries of a zip.
"""

from __future__ import annotations

import base64
import codecs
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal, cast
from urllib.parse import unquote

from popspark.ingest.readers.csv_records import iter_csv
from popspark.ingest.readers.json_records import iter_json, iter_json_rows
from popspark.ingest.readers.text_chunks import CHUNK_BYTES, MAX_RECORD_CHARS

PEEK_CHARS = 4096

Record = tuple[str, int, str, str | None, str | None]
"""file, line, raw, raw_base64, fault: see `popspark.ingest.readers.records`."""


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
        """The start of what follows, some thousand characters where there are; `chunk` returns it again."""
        held = ""
        while len(held) < PEEK_CHARS and (more := self.chunk()):
            held += more
        self._put_back = held
        return held

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
