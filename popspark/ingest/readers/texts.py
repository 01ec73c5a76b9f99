"""The texts of files: plain, gzip, or the entries of a zip; decoded in chunks, and never whole in memory."""

from __future__ import annotations

import codecs
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from popspark.ingest.mapping import BOMS
from popspark.ingest.readers.json import MAX_RECORD_CHARS

CHUNK_BYTES = 1 << 20
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)")
_CONTAINER = re.compile(r"\.(zip|gz|bz2|xz|7z|rar|tar|tgz)$")


def open_members(path: str) -> Iterator[tuple[str, IO[bytes] | None, str | None]]:
    """(name, stream, fault) of each file in `path`: of a zip container its entries, else the file itself."""
    local = path.removeprefix("file://").removeprefix("file:")
    try:
        with open(local, "rb") as stream:
            if path.lower().endswith(".zip"):
                yield from _open_entries(path, stream)
            elif path.lower().endswith(".gz"):
                with gzip.open(stream) as unpacked:
                    yield path, cast(IO[bytes], unpacked), None
            else:
                yield path, stream, None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        yield path, None, f"bad_container: {error}"
    except OSError as error:
        yield path, None, f"unreadable: {error.strerror or error}"


def _open_entries(path: str, stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes] | None, str | None]]:
    with zipfile.ZipFile(stream) as container:
        for info in container.infolist():
            base = info.filename.rsplit("/", 1)[-1]
            if info.is_dir() or "__MACOSX" in info.filename.split("/") or base.startswith("."):
                continue
            name = f"{path}!/{info.filename}"
            if inner := _CONTAINER.search(base.lower()):
                yield name, None, f"bad_container: {inner[0]} within a zip, unpack it first"
                continue
            with container.open(info) as entry:
                yield name, entry, None


class Text:
    """The text of a stream in chunks, read once; `fault` says why it ended early, where it did.

    A byte order mark is obeyed. Bytes that are not of the encoding are lone surrogates in it (surrogateescape), U+FFFD
    where it has more than one byte a unit.
    """

    def __init__(self, stream: IO[bytes], encoding: str = "utf-8") -> None:
        self._stream = stream
        self._encoding = encoding
        self.fault: str | None = None

    def __iter__(self) -> Iterator[str]:
        raw = self._read()
        while raw and len(raw) < 4 and (more := self._read()):
            raw += more
        encoding = next((name for mark, name in BOMS.items() if raw.startswith(mark)), self._encoding)
        errors = "replace" if encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")) else "surrogateescape"
        decode = codecs.getincrementaldecoder(encoding)(errors).decode
        while raw:
            if text := decode(raw):
                yield text
            raw = self._read()
        if text := decode(b"", final=True):
            yield text

    def _read(self) -> bytes:
        try:
            return self._stream.read(CHUNK_BYTES)
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
            self.fault = f"bad_container: {error}"
            return b""

    def lines_with_ends(self) -> Iterator[str]:
        """The lines, each with the end that it has: \\n, \\r\\n or \\r; one of over `MAX_RECORD_CHARS` is cut."""
        pieces, n_held = list[str](), 0
        for chunk in self:
            pieces.append(chunk)
            n_held += len(chunk)
            has_end = "\n" in chunk or "\r" in chunk or (len(pieces) > 1 and pieces[-2][-1] == "\r")
            if not has_end and n_held <= MAX_RECORD_CHARS:
                continue
            held, pos = "".join(pieces), 0
            for line in _LINE.finditer(held):
                if line.end() == len(held) and held[-1] == "\r":
                    break  # its \n may be the first of the next chunk
                yield line[0]
                pos = line.end()
            held = held[pos:]
            if len(held) > MAX_RECORD_CHARS:
                yield held
                held = ""
            pieces, n_held = [held] if held else [], len(held)
        if pieces:
            yield "".join(pieces)

    def lines(self) -> Iterator[str]:
        """The lines without their newlines; one of over `MAX_RECORD_CHARS` is cut."""
        held = ""
        for chunk in self:
            *whole, held = (held + chunk).split("\n")
            yield from whole
            if len(held) > MAX_RECORD_CHARS:
                yield held
                held = ""
        if held:
            yield held
