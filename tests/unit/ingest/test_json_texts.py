"""Many JSON objects to columns of text: parsed at once or one by one, with the same result."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from popspark.ingest.readers import json_texts
from popspark.ingest.readers.json_texts import parse_objects

NAMES = ("Uid", "Pid", "photo_count", "ispro", "Title")


def parse(*objects: bytes) -> tuple[list[list[str | None]], list[str | None]]:
    """The rows, and their faults."""
    columns, faults = parse_objects(objects, NAMES)
    assert {column.type for column in [*columns, faults]} == {pa.string()}
    return [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)], faults.to_pylist()


def dump(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.fixture(params=[True, False], ids=["at once", "one by one"])
def _alike(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(json_texts, "parse_alike", lambda *_: None)


@pytest.mark.usefixtures("_alike")
def test_texts_numbers_and_flags_as_text() -> None:
    rows, faults = parse(
        dump(Uid="1@N1", Pid=101, Photo_Count=None, ispro=True, other=[1]),
        dump(Uid="é ☀", Pid=12345678901234567, ispro=False, Title='a "b"\n\\'),
        '{"Uid": "é",\n "Pid": -5, "Title": ""}'.encode(),
        b"{}",
    )
    assert rows == [
        ["1@N1", "101", None, "true", None],
        ["é ☀", "12345678901234567", None, "false", 'a "b"\n\\'],
        ["é", "-5", None, None, ""],
        [None] * 5,
    ]
    assert faults == [None] * 4


def test_objects_alike_are_parsed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    n_loaded = []
    load = json_texts._load
    monkeypatch.setattr(json_texts, "_load", lambda content: n_loaded.append(1) or load(content))
    rows, _ = parse(*[dump(Uid=str(i), Pid=i) for i in range(500)])
    assert [row[:2] for row in rows] == [[str(i), str(i)] for i in range(500)]
    assert len(n_loaded) == json_texts.N_HEAD


@pytest.mark.parametrize(
    ("odd", "row", "fault"),
    [
        (b'{"Uid": 7, "Pid": "8"}', ["7", "8", None, None, None], None),
        (b'{"Uid": "a", "Pid": 1.50}', ["a", "1.50", None, None, None], None),
        (b'{"Uid": "a", "Pid": 99999999999999999999}', ["a", "99999999999999999999", None, None, None], None),
        (b'{"Uid": "a", "Title": {"b": [1.0, null, "\\u00e9"]}}', ["a"] + [None] * 3 + ['{"b":[1.0,null,"é"]}'], None),
        (b'{"Uid": "\\ud800", "UID": "b"}', ["b"] + [None] * 4, None),
        (b'{"Uid": "\\ud800"}', ["?"] + [None] * 4, None),
        (b'{"Uid": "caf\xe9"}', ["caf\ufffd"] + [None] * 4, None),
        (b'{"Uid": "a', [None] * 5, "not_json"),
        (b'{"Uid": "a\nb"}', [None] * 5, "not_json"),
        (b'{"Uid": "an "unescaped" quote"}', [None] * 5, "not_json"),
        (b'{"Uid": "a"} {"Uid": "b"}', [None] * 5, "not_json"),
        (b"[1]", [None] * 5, "not_json"),
        (b"", [None] * 5, "not_json"),
        (b"[" * 100_000, [None] * 5, "not_json"),
    ],
)
def test_one_that_is_not_like_the_others(odd: bytes, row: list[str | None], fault: str | None) -> None:
    plain = dump(Uid="x", Pid=1)
    rows, faults = parse(plain, odd, plain)
    assert rows == [["x", "1", None, None, None], row, ["x", "1", None, None, None]]
    assert faults == [None, fault, None]


def test_no_objects() -> None:
    assert parse() == ([], [])
