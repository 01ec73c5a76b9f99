"""The texts of files: plain, gzip, or the entries of a zip or tar; decoded in chunks, and never whole in memory."""

from __future__ import annotations

import codecs
import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from popspark.ingest.mapping import BOMS
from popspark.ingest.readers.json import MAX_RECORD_CHARS

CHUNK_BYTES = 1 << 20
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)")
_TAR = re.compile(r"\.(tar(\.gz|\.bz2|\.xz)?|tgz)$")
_OTHER = re.compile(r"\.(zip|bz2|xz|7z|rar)$")
WIDE = ("utf-16", "utf-32", "utf_16", "utf_32")
Member = tuple[str, IO[bytes] | None, str | None]


def is_archive(path: str) -> bool:
    """Whether a file of that path holds files: a zip or a tar."""
    return path.lower().endswith(".zip") or _TAR.search(path.lower()) is not None


def is_wide(path: str) -> bool:
    """Whether a file begins with the byte order mark of UTF-16 or UTF-32; no where it cannot be opened here."""
    try:
        with open(path.removeprefix("file://").removeprefix("file:"), "rb") as stream:
            start = stream.read(4)
    except OSError:
        return False
    return any(start.startswith(mark) for mark, name in BOMS.items() if name.startswith(WIDE))


def open_members(path: str) -> Iterator[Member]:
    """(name, stream, fault) of each file in `path`, unpacked: of a zip or tar its entries, else the file itself."""
    local = path.removeprefix("file://").removeprefix("file:")
    try:
        with open(local, "rb") as stream:
            yield from _open_zip(path, stream) if path.lower().endswith(".zip") else _open(path, stream)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        yield path, None, f"bad_container: {error}"
    except OSError as error:
        fault = "bad_container" if isinstance(error, gzip.BadGzipFile) else "unreadable"
        yield path, None, f"{fault}: {error.strerror or error}"


def iter_names(path: str) -> Iterator[str]:
    """path!/name of each file in a zip or tar, hidden ones too; none where it is broken, which reading it says."""
    try:
        with open(path.removeprefix("file://").removeprefix("file:"), "rb") as stream:
            if path.lower().endswith(".zip"):
                with zipfile.ZipFile(stream) as container:
                    yield from (f"{path}!/{info.filename}" for info in container.infolist() if not info.is_dir())
            else:
                with tarfile.open(fileobj=stream, mode="r|*") as entries:
                    yield from (f"{path}!/{entry.name}" for entry in entries if entry.isfile())
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError, RuntimeError):
        return


def _open(name: str, stream: IO[bytes]) -> Iterator[Member]:
    if _TAR.search(name.lower()):
        yield from _open_tar(name, stream)
    elif name.lower().endswith(".gz"):
        with gzip.open(stream) as unpacked:
            yield name, cast(IO[bytes], unpacked), None
    else:
        yield name, stream, None


def _open_tar(path: str, stream: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|*") as container:
        for entry in container:
            if entry.isfile() and not is_hidden(entry.name) and (inner := container.extractfile(entry)):
                yield from _open_inner(f"{path}!/{entry.name}", inner)


def _open_zip(path: str, stream: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as container:
        for info in container.infolist():
            if not info.is_dir() and not is_hidden(info.filename):
                with container.open(info) as entry:
                    yield from _open_inner(f"{path}!/{info.filename}", entry)


def is_hidden(name: str) -> bool:
    """Whether an entry of that name in a zip or tar is not read, whatever the origin."""
    steps = name.split("/")
    return "__MACOSX" in steps or steps[-1].startswith(".")


def _open_inner(name: str, stream: IO[bytes]) -> Iterator[Member]:
    """A file within another; only what can be read as it comes is unpacked once more."""
    found = _OTHER.search(name.lower())
    if found and not _TAR.search(name.lower()):
        outer = "zip" if ".zip!/" in name.lower() else "tar"
        yield name, None, f"bad_container: {found[0]} within a {outer}, unpack it first"
    else:
        yield from _open(name, stream)


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
        errors = "replace" if encoding.startswith(WIDE) else "surrogateescape"
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
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
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
