"""Rows of plain files by their numbers: counts that fall on any byte, and ranges that equal the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from popspark.ingest.readers.row_files import (
    N_HEAD,
    RowFile,
    as_text,
    count_blocks,
    find_separator,
    read_joined,
    read_objects,
    read_rows,
)
from popspark.runtime.errors import AccountingError

TITLES = ("", 'x }, {"Uid": ', "zwei é\n", '\\"}, {', '"}, {"Uid"', "☀" * 30)
OBJECTS = [{"Uid": f"{i}@N", "Title": TITLES[i % 6] * (i % 4)} for i in range(60)]


def index(path: Path, content: bytes, separator: bytes, block_bytes: int, n_blocks: int = 3) -> RowFile:
    """As `index_files` does, without Spark."""
    path.write_bytes(content)
    url = f"file:{path}"  # as Spark lists it
    step = block_bytes * n_blocks
    ranges = [(start, min(start + step, len(content))) for start in range(0, len(content), step)]
    before, n_written = [0], 0
    for start, end in ranges:
        counts, n = count_blocks(url, start, end, separator, block_bytes)
        n_written = n_written if n is None else before[-1] + n + 1
        for count in counts:
            before.append(before[-1] + count)
    n_rows = n_written if separator == b"\n" else before[-1] + 1
    return RowFile(url, len(content), separator, n_rows, block_bytes, tuple(before[:-1]))


@pytest.mark.parametrize("options", [{}, {"indent": 1}, {"separators": (",", ":"), "ensure_ascii": False}])
@pytest.mark.parametrize("block_bytes", [1, 2, 7, 64, 100_000])
def test_objects_wherever_the_blocks_end(tmp_path: Path, options: dict[str, Any], block_bytes: int) -> None:
    content = json.dumps(OBJECTS, **options).encode()
    separator = find_separator(content)
    assert separator
    file = index(tmp_path / "a.json", content, separator, block_bytes)
    assert file.n_rows == len(OBJECTS)
    for first in range(0, 60, 7):
        for last in (first, first + 1, min(first + 13, 60), 60):
            objects, is_cut = read_objects(file, first, last)
            assert [json.loads(one) for one in objects] == OBJECTS[first:last]
            assert not is_cut
            text, head, is_cut = read_joined(file, first, last)
            assert list(_decode(text)) == OBJECTS[first:last]
            assert [json.loads(one) for one in head] == OBJECTS[first : min(first + N_HEAD, last)]
            assert not is_cut


def _decode(text: bytes) -> Iterator[Any]:
    """Objects that stand one after the other."""
    rest = text.decode().strip()
    while rest:
        found, end = json.JSONDecoder().raw_decode(rest)
        yield found
        rest = rest[end:].strip()


@pytest.mark.parametrize("block_bytes", [1, 3, 1000])
def test_lines_and_the_empty_ones(tmp_path: Path, block_bytes: int) -> None:
    file = index(tmp_path / "a.txt", b"\xef\xbb\xbf1\n\n22\r\n3\n\n \n", b"\n", block_bytes)
    assert file.n_rows == 4  # what is empty at the end is no row
    assert read_rows(file, 0, 4) == [b"1", b"", b"22\r", b"3"]
    assert [read_rows(file, i, i + 1)[0] for i in range(4)] == [b"1", b"", b"22\r", b"3"]


def test_a_file_of_empty_lines_has_no_rows(tmp_path: Path) -> None:
    assert index(tmp_path / "a.txt", b"\n\n\n", b"\n", 2).n_rows == 0


@pytest.mark.parametrize("ending", ['"Pid": "cu', "]", '"a": "b"}, {"Uid"'])
def test_the_last_object_must_end_the_array(tmp_path: Path, ending: str) -> None:
    content = ('[{"Uid": 1}, {"Uid": 2}, {"Uid": 3, ' + ending).encode()
    file = index(tmp_path / "a.json", content, b'}, {"Uid"', 5)
    assert read_objects(file, 0, 1) == ([b'{"Uid": 1}'], False)
    assert read_joined(file, 0, 1) == (b'{"Uid": 1}', [b'{"Uid": 1}'], False)
    assert read_objects(file, 0, file.n_rows)[1]
    assert read_joined(file, 0, file.n_rows).is_cut


@pytest.mark.parametrize(
    ("head", "separator"),
    [
        ('[{"Uid": "a}, {b"}, {"Uid": 1', b'}, {"Uid"'),
        ('\ufeff [\n {\n"Uid": [{"x": 1}, {"x": 2}]},\n {\n"Uid": 1', b'},\n {\n"Uid"'),
        ('[{"Uid": 1}]', None),
        ('{"Uid": {"0": 1}, "Pid": {"0": 1}}', None),
        ('[{"Uid": 1}, {"U}d": 1}]', None),
        ('[{"Uid": 1 2}, {"Uid": 1}]', None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_separator_is_what_stands_behind_the_first_object(head: str, separator: bytes | None) -> None:
    assert find_separator(head.encode()) == separator


def test_a_file_that_was_written_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    file = index(path, b"1\n2\n3\n4\n", b"\n", 2)
    path.write_bytes(b"1\n2\n3")
    with pytest.raises(AccountingError, match="The file changed between two passes over it"):
        read_rows(file, 1, 4)
    path.write_bytes(b"1\n2345678\n")
    with pytest.raises(AccountingError, match="The file changed between two passes over it"):
        read_rows(file, 1, 3)


def test_bytes_that_are_not_utf8_are_kept() -> None:
    assert as_text("é".encode()) == ("é", None)
    assert as_text(b"caf\xe9") == ("caf\ufffd", "Y2Fm6Q==")
