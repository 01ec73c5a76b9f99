"""CSV lines to rows, also where quotes stand as they should not; plain Python."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator


def iter_csv(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, str, str | None]]:
    """(line, text, fault) of each row below the header; text is a JSON object {"row": the text, "values": {...}}.

    A quoted field may hold newlines. A row whose number of fields is not the header's is a fault, and so is one
    over several lines whose quotes do not close: only its first line is the fault, reading goes on with the next.
    """
    source = _Lines(lines)
    header = next(csv.reader(source, delimiter=delimiter), None)
    if header is None:
        return
    while True:
        first = source.number + 1
        source.taken.clear()
        try:
            row = next(csv.reader(source, delimiter=delimiter), None)
        except csv.Error:
            row = []
        if row is None and not source.taken:
            return
        if row is not None and len(row) == len(header) and not _is_open(source.taken, delimiter):
            text = "".join(source.taken).rstrip("\r\n")
            values = dict(zip(header, row, strict=True))
            yield first, json.dumps({"row": text, "values": values}, ensure_ascii=False), None
            continue
        bad = source.keep_first()
        if bad.strip():
            yield first, bad.rstrip("\r\n"), "wrong_field_count"


def _is_open(taken: list[str], delimiter: str) -> bool:
    """Whether the quotes of a row over several lines do not close as they must: then it is no row."""
    if len(taken) == 1:
        return False  # a stray quote within one line is only text
    try:
        list(csv.reader(taken, delimiter=delimiter, strict=True))
    except csv.Error:
        return True
    return False


class _Lines:
    """Lines, each with its newline, that can be put back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._fresh = (line + "\n" for line in lines)
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
