"""Text as exports hold it, to typed values: what is read, what is absent, and what is bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import values

ABSENT = [None, "", "  ", "None", "null", "NaN", "n/a"]
WHEN = datetime(2013, 3, 15, 20, 51, 9)

CASES: list[tuple[Callable[[Column], Column], dict[str, Any], list[str]]] = [
    (
        values.count,
        {
            "12": 12,
            " 12 ": 12,
            "12.0": 12,
            "0": 0,
            "007": 7,
            "1,234": 1234,
            "1,234,567": 1234567,
            "75.2k": 75200,
            "75.2K": 75200,
            "1,234.5k": 1234500,
            "3M": 3000000,
            "1.1b": 1100000000,
            "999999999999999999": 999999999999999999,
        },
        ["-1", "many", "12 views", "1,23", "1.2.3", "k", "1e3", "99999999999999999999", "0x10"],
    ),
    (values.number, {"1.5": 1.5, "-2": -2.0, "1e3": 1000.0}, ["inf", "-Infinity", "1,5", "x"]),
    (
        values.flag,
        {"1": True, "0": False, "1.0": True, "true": True, "False": False, "YES": True, "no": False},
        ["2", "-", "t r u e"],
    ),
    (
        values.time,
        {
            "1363380669": WHEN,
            "1363380669000": WHEN,
            "1363380669.5": WHEN.replace(microsecond=500_000),
            "2013-03-15T20:51:09Z": WHEN,
            "2013-03-15T21:51:09+01:00": WHEN,
            "2013-03-15 20:51:09": WHEN,
            "2013-03-15T20:51:09.000Z": WHEN,
            "2013-03-15": datetime(2013, 3, 15),
            "0000012345": datetime(1970, 1, 1, 3, 25, 45),
        },
        ["yesterday", "2013", "2013-13-45", "15.03.2013", "12", "99999999999999999999"],
    ),
]


@pytest.mark.parametrize(("convert", "good", "bad"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_each_kind(
    spark: SparkSession, convert: Callable[[Column], Column], good: dict[str, Any], bad: list[str]
) -> None:
    texts: list[str | None] = [*good, *bad, *ABSENT]
    rows = spark.createDataFrame(list(enumerate(texts)), "place int, text string")
    read = rows.withColumn("value", convert(F.col("text"))).withColumn(
        "is_bad", values.is_bad(F.col("text"), F.col("value"))
    )
    found = [(row.value, row.is_bad) for row in read.orderBy("place").collect()]
    expected = [(value, False) for value in good.values()] + [(None, True)] * len(bad) + [(None, False)] * len(ABSENT)
    assert dict(zip(map(str, texts), found, strict=True)) == dict(zip(map(str, texts), expected, strict=True))


ODD = [
    *("7", "007", "12345", "1363380669", "99999999999", "100000000000", "123456789012345", "999999999999999999"),
    *(
        "1000000000000000000",
        "99999",
        "9999",
        " 12345",
        "12345 ",
        "12345\n",
        "-12345",
        "+12345",
        "12345.0",
        "1 2",
        "１２３４５",
    ),
    *("", " ", "None", "12345k", "1e5"),
]


@pytest.mark.parametrize(
    ("convert", "general"), [(values.count, values._count), (values.time, values._time)], ids=["count", "time"]
)
def test_the_plain_form_is_read_as_the_general_way_reads_it(
    spark: SparkSession, convert: Callable[[Column], Column], general: Callable[[Column], Column]
) -> None:
    rows = spark.createDataFrame([(text,) for text in ODD], "text string")
    found = rows.select("text", convert(F.col("text")), values._of(F.col("text"), general)).collect()
    assert [(text, plain) for text, plain, _ in found] == [(text, slow) for text, _, slow in found]


def test_words(spark: SparkSession) -> None:
    texts = [None, "", " ", "a", "a b", " a  b ", "a\tb", "a\n b\r", "é\u00a0b", "a\x0bb \x0cc"]
    rows = spark.createDataFrame([(text,) for text in texts], "text string").select(values.words(F.col("text")))
    expected = [None, [], [], ["a"], ["a", "b"], ["a", "b"], ["a", "b"], ["a", "b"], ["é\u00a0b"], ["a", "b", "c"]]
    assert [found for (found,) in rows.collect()] == expected


def test_ids_names_and_free_text(spark: SparkSession) -> None:
    row = (
        spark.createDataFrame([("458398.0", "306@N63", "None", " Ann ", "")], ["a", "b", "c", "d", "e"])
        .select(
            values.identifier(F.col("a")).alias("number"),
            values.identifier(F.col("b")).alias("text"),
            values.identifier(F.col("c")).alias("none"),
            values.user_name(F.col("d"), keep=True, salt="s").alias("kept"),
            values.user_name(F.col("d"), keep=False, salt="s").alias("hashed"),
            values.free_text(F.col("e")).alias("empty"),
            values.free_text(F.col("c")).alias("absent"),
        )
        .collect()[0]
    )
    assert row.asDict() == {
        "number": "458398",
        "text": "306@N63",
        "none": None,
        "kept": "Ann",
        "hashed": hashlib.sha256(b"sAnn").hexdigest(),
        "empty": "",
        "absent": None,
    }
