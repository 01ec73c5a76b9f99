"""Plain files of rows, read by row numbers: where the rows stand, and the bytes of a range of them; runs on executors.

A file is counted once, in blocks of bytes: the separators that begin in each. With these counts any range of rows is
found by reading the blocks that hold it, and nothing else.

Files are opened by fsspec: a local path, `file:`, or a URL such as `s3a://` whose fsspec package the executors have.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from fsspec.core import url_to_fs

from popspark.runtime.errors import AccountingError

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 18
N_HEAD = 50
"""Objects that tell how a file spells its names and what kinds its values have."""
_ARRAY = re.compile(r"\ufeff?\s*\[\s*(?=\{)", re.ASCII)
_GAP = re.compile(r'\s*,\s*\{\s*"\w[^"\\{}]*"(?=\s*:)')


@dataclass(frozen=True)
class RowFile:
    """separator: between two rows. before: how many separators begin before each block of `block_bytes`."""

    path: str
    n_bytes: int
    separator: bytes
    n_rows: int
    block_bytes: int
    before: tuple[int, ...]


def read_bytes(path: str, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`, or to the end of the file."""
    fs, root = url_to_fs(path)
    content: bytes = fs.cat_file(root, start=start, end=end)
    return content


def find_separator(head: bytes) -> bytes | None:
    """The bytes between two objects of a JSON array, `}, {"Uid"` with the file's own spaces; None if there are none.

    This cannot stand inside a string: there its quotes would be escaped, and where a quote ends a string, a comma,
    colon or bracket follows, never the name of a key.
    """
    text = head.decode("utf-8", "replace")
    start = _ARRAY.match(text)
    if not start:
        return None
    try:
        end = json.JSONDecoder().raw_decode(text, start.end())[1]
    except (json.JSONDecodeError, RecursionError):
        return None
    gap = _GAP.match(text, end)
    return b"}" + gap[0].encode() if gap else None


def count_blocks(path: str, start: int, end: int, separator: bytes, block_bytes: int) -> tuple[list[int], int | None]:
    """How many separators begin in each block of a range, and how many lines end before its last one with any text.

    The second is None where all is spaces and newlines. `start` is a multiple of `block_bytes`.
    """
    overlap = len(separator) - 1
    content = read_bytes(path, start, end + overlap)
    n_bytes = min(end - start, len(content))
    counts = [
        content.count(separator, block, min(block + block_bytes, n_bytes) + overlap)
        for block in range(0, n_bytes, block_bytes)
    ]
    n_empty = len(content) - len(content.rstrip(b" \r\n"))
    n_written = sum(counts) - content.count(separator, len(content) - n_empty)
    return counts, n_written if n_empty < len(content) else None


def _read_span(file: RowFile, first: int, last: int) -> bytes:
    """The rows from `first`, counted from 0, up to `last`, with the separators between them; there is one at least.

    Raises `AccountingError` where the file is not as it was counted.
    """
    block, skipped = 0, 0
    if first:  # it begins behind separator first - 1
        block = bisect_right(file.before, first - 1) - 1
        skipped = first - file.before[block]
    end = file.n_bytes
    if last < file.n_rows:  # it ends with separator last - 1
        end = bisect_right(file.before, last - 1) * file.block_bytes + len(file.separator) - 1
    content = read_bytes(file.path, block * file.block_bytes, min(end, file.n_bytes))
    before = content.split(file.separator, skipped)
    n_behind = before[-1].count(file.separator) + 1 - (last - first)
    if len(before) <= skipped or n_behind < 0 or (last < file.n_rows and n_behind == 0):
        raise AccountingError("The file changed between two passes over it.", where=file.path)
    content = before[-1].rsplit(file.separator, n_behind)[0] if n_behind else before[-1]
    return content.removeprefix(BOM) if first == 0 else content


def read_rows(file: RowFile, first: int, last: int) -> list[bytes]:
    """What stands between the separators, for the rows from `first`, counted from 0, up to `last`.

    Raises `AccountingError` where the file is not as it was counted.
    """
    return _read_span(file, first, last).split(file.separator) if first < last else []


class Objects(NamedTuple):
    """text: objects of a JSON array, a newline between two of them. head: the first `N_HEAD`. is_cut: whether the last
    one is there but does not end the array.
    """

    text: bytes
    head: list[bytes]
    is_cut: bool


def read_joined(file: RowFile, first: int, last: int) -> Objects:
    """`read_objects`, not taken apart."""
    if first >= last:
        return Objects(b"", [], False)
    text, is_cut = _read_span(file, first, last), False
    opening = file.separator[file.separator.index(b"{") :]
    if first:
        text = opening + text
    elif array := _OPENING.match(text):
        text = text[array.end() :]
    if last < file.n_rows:
        text += b"}"
    else:
        ended = text.rstrip()
        is_cut = not (ended.endswith(b"]") and ended[:-1].rstrip().endswith(b"}"))
        text = ended.removesuffix(b"]")
    *whole, rest = text.split(file.separator, N_HEAD)
    head = [one + b"}" for one in whole] + ([rest] if len(whole) < N_HEAD else [])
    head[1:] = [opening + one for one in head[1:]]
    return Objects(text.replace(file.separator, file.separator.replace(b",", b"\n", 1)), head, is_cut)


def read_objects(file: RowFile, first: int, last: int) -> tuple[list[bytes], bool]:
    """`read_rows` of a JSON array as whole objects, and whether its last one is there but cut off.

    What the separator took is given back to each; the last object must end the array.
    """
    rows = read_rows(file, first, last)
    if not rows:
        return [], False
    ending = rows[-1] if last == file.n_rows else b""
    is_cut = last == file.n_rows and not _ENDING.search(ending)
    opening = file.separator[file.separator.index(b"{") :]
    objects = [opening + row + b"}" for row in rows]
    if first == 0:
        objects[0] = _OPENING.sub(b"", rows[0]) + b"}"
    if last == file.n_rows:
        objects[-1] = _CLOSING.sub(b"", objects[-1].removesuffix(b"}"))
    return objects, is_cut


_OPENING = re.compile(rb"^\s*\[\s*")
_CLOSING = re.compile(rb"\s*\]\s*$")
_ENDING = re.compile(rb"\}\s*\]\s*$")


def as_text(content: bytes) -> tuple[str, str | None]:
    """The text, with U+FFFD for what is not UTF-8, and the bytes in base64 where something is not."""
    try:
        return content.decode("utf-8"), None
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace"), base64.b64encode(content).decode("ascii")
