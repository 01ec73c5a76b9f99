"""CSV lines to rows, also where quotes stand as they should not; plain Python."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from popspark.ingest.readers.json import MAX_RECORD_CHARS

BOM = "\ufeff"
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)


def read_header(
    lines: Lines, delimiter: str, escape: str | None, columns: tuple[str, ...]
) -> tuple[list[str], str] | None:
    """The names of the columns, and the delimiter: the one given, or that of a first line `sep=;`, as Excel writes it.

    columns: of a file without a header. None for a file without any text.
    """
    for line in lines:
        if found := _SEPARATOR.fullmatch(line):
            delimiter = found[1]
        elif line.strip():
            lines.put_back(line)
            break
    else:
        return None
    if columns:
        return list(columns), delimiter
    lines.taken.clear()
    try:
        header: list[str] = next(_reader(lines, delimiter, escape), [])
    except csv.Error:  # its quotes do not close: the names are in its first line, if anywhere
        header = next(_reader([lines.keep_first()], delimiter, escape, strict=False), [])
    return [name.strip() for name in header], delimiter


def iter_csv(
    lines: Iterable[str], delimiter: str, escape: str | None = None, columns: tuple[str, ...] = ()
) -> Iterator[tuple[int, str, str | None]]:
    """(line, text, fault) of each row below the header; text is a JSON object {"row": the text, "values": {...}}.

    lines: each with its end. A quoted field may hold ends of lines. A row whose number of fields is not the header's is
    a fault, and so is one over several lines whose quotes do not close: only its first line is the fault, reading goes
    on with the next. A quote within a quoted field that is not escaped is one too, `unescaped_quote`; written \\" where
    the mapping has no escape, `backslash_quote`. In a field that is not quoted it is only text. In files that were put
    one behind the other the header within is a fault, `repeated_header`, and byte order marks are left out.
    """
    source = Lines(lines)
    found = read_header(source, delimiter, escape, columns)
    if found is None:
        return
    header, delimiter = found
    for line in source:
        source.put_back(line.removeprefix(BOM))
        first = source.number + 1
        source.taken.clear()
        fault = "wrong_field_count"
        try:
            row: list[str] = next(_reader(source, delimiter, escape), [])
        except csv.Error as error:
            row = []
            if "limit" in str(error):
                fault = "field_too_long"
            elif len(source.taken) == 1 and _n_fields(source.taken, delimiter, escape) == len(header):
                fault = "unescaped_quote"
        text = "".join(source.taken)
        if row and [name.strip() for name in row] == header and not columns:
            yield first, text.rstrip("\r\n"), "repeated_header"
            continue
        if len(row) == len(header):
            values = dict(zip(header, row, strict=True))
            yield first, json.dumps({"row": text.rstrip("\r\n"), "values": values}, ensure_ascii=False), None
            continue
        bad = source.keep_first()
        if bad.strip():
            yield first, bad.rstrip("\r\n"), "backslash_quote" if escape is None and '\\"' in bad else fault


def _reader(lines: Iterable[str], delimiter: str, escape: str | None, strict: bool = True) -> Any:
    csv.field_size_limit(MAX_RECORD_CHARS)
    return csv.reader(lines, delimiter=delimiter, escapechar=escape, strict=strict)


def _n_fields(lines: list[str], delimiter: str, escape: str | None) -> int:
    """The fields of a row where a stray quote is only text."""
    return len(next(_reader(lines, delimiter, escape, strict=False), []))


class Lines:
    """Lines, each with its end, that can be put back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._fresh = iter(lines)
        self._again: list[str] = []
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._fresh)
        self.taken.append(line)
        self.number += 1
        return line

    def put_back(self, line: str) -> None:
        """The line, in place of the last one taken, is the next."""
        self.taken.pop()
        self._again.append(line)
        self.number -= 1

    def keep_first(self) -> str:
        """The first line taken; the others are put back."""
        first, *others = self.taken
        self._again.extend(reversed(others))
        self.number -= len(others)
        self.taken = [first]
        return first
