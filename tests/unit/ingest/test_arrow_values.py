"""Columns of text to values in Arrow; that Spark makes the same of them is in tests/spark/ingest/test_values.py."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from popspark.ingest.readers import arrow_values


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("1@N", "1@N", True),
        ("12", "12.0", True),
        (" 12 ", "12", True),
        ("12", "13", False),
        ("12", None, False),
        (None, None, True),
        ("None", None, True),
        ("12.0.0", "12", False),
        ("é", "é ", True),
    ],
)
def test_ids_that_name_the_same(text: str | None, other: str | None, same: bool) -> None:
    found = arrow_values.same_ids(pa.array([text, "a"], pa.string()), pa.array([other, "a"], pa.string()))
    assert found.to_pylist() == [same, True]


def test_texts_that_are_not_plain_stay_texts() -> None:
    found, rest = arrow_values.plain_values(pa.array(["12", "1.5k", None, " 12"]), "count")
    assert found.to_pylist() == [12, None, None, None]
    assert rest.to_pylist() == [None, "1.5k", None, " 12"]


def test_extras_are_what_is_known() -> None:
    columns = {"a": pa.array(["1", None, "3"]), "b": pa.array([None, None, "4"])}
    assert [dict(row) for row in arrow_values.extras(columns).to_pylist()] == [{"a": "1"}, {}, {"a": "3", "b": "4"}]


def test_names_are_hashed_behind_the_salt() -> None:
    digest = hashlib.sha256(b"sAnn").hexdigest()
    assert arrow_values.hashed(pa.array(["Ann", None, "Ann"]), "s").to_pylist() == [digest, None, digest]
