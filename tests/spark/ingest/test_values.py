"""Text as exports hold it, to typed values: what is read, what is absent, and what is bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import values
from popspark.ingest.times import parse_format, read_time

ABSENT = [None, "", "  ", "None", "null", "NaN", "n/a", "<NA>", "\\N"]
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
            "1 234": 1234,
            "1\u202f234": 1234,
            "1\u00a0234\u00a0567": 1234567,
            "1'234": 1234,
            "1\u2019234": 1234,
            "12.00": 12,
            "3M": 3000000,
            "1.1b": 1100000000,
            "999999999999999999": 999999999999999999,
            "1234567890123456789": 1234567890123456789,
            "1,234,567,890,123,456,789": 1234567890123456789,
            "9223372036854775807": 2**63 - 1,
        },
        [
            *("-1", "many", "12 views", "1,23", "1.2.3", "k", "1e3", "99999999999999999999", "0x10"),
            *("1.234", "12.5", "1 23", "1'23", "1,234'567", "1.23456k", "1.234.567", "9.9e18b"),
            *("17.9999999", "9223372036854775808"),
        ],
    ),
    (values.number, {"1.5": 1.5, "-2": -2.0, "1e3": 1000.0}, ["inf", "-Infinity", "1,5", "x", "1d", "0x1p3", "1,234"]),
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
            "20130315": datetime(2013, 3, 15),
            "20130315205109": WHEN,
            "20130315T205109Z": WHEN,
            "2013-03-15T20:51Z": WHEN.replace(second=0),
            "2013-3-15 20:51": WHEN.replace(second=0),
            "2013-03-15T20:51:09z": WHEN,
            "2013-03-15t20:51:09,5z": WHEN.replace(microsecond=500_000),
            "2013/3/15 20:51:09": WHEN,
            "2013.03.15": datetime(2013, 3, 15),
            "2013-03-15T22:51:09+0200": WHEN,
            "2013-03-15T22:51:09+02": WHEN,
            "2013-03-15 20:51:09 UTC": WHEN,
            "2013-03-15 20:51:09\u202fUTC": WHEN,
            "2013-03-15T20:51:09.123456789Z": WHEN.replace(microsecond=123456),
            "1363380669000000": WHEN,
            "1363380669123456789": WHEN.replace(microsecond=123456),
            "1363380669.0": WHEN,
            "1363380669000.5": WHEN.replace(microsecond=500),
            "Fri Mar 15 20:51:09 +0000 2013": WHEN,
            "Fri, 15 Mar 2013 21:51:09 +0100": WHEN,
            "1990-01-01": datetime(1990, 1, 1),
            "2099-12-31T23:59:59Z": datetime(2099, 12, 31, 23, 59, 59),
        },
        [
            *("yesterday", "2013", "2013-13-45", "15.03.2013", "12", "99999999999999999999", "2013-03", "2013-02-29"),
            *("0", "-86400", "45413", "99999", "0000012345", "10000000000", "20131345", "19891231", "03/04/2013"),
            *("2013-03-15 20:51:09 EST", "2013-03-15 20:51:09 IST", "2013-03-15T24:00:00Z", "2013-03-15T25:00:00Z"),
            *("2013-03/15", "2013-W11-5", "2013-074", "2016-12-31T23:59:60Z", "2013-03-15 20:51:09 PM"),
            *("0001-01-01", "1899-12-31", "1970-01-01", "1989-12-31T23:59:59Z", "2100-01-01", "9999-12-31"),
        ],
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
    ("convert", "general"),
    [(values.count, lambda value: values._count(value)), (values.time, lambda value: read_time(value))],
    ids=["count", "time"],
)
def test_the_plain_form_is_read_as_the_general_way_reads_it(
    spark: SparkSession, convert: Callable[[Column], Column], general: Callable[[Column], Column]
) -> None:
    rows = spark.createDataFrame([(text,) for text in ODD], "text string")
    found = rows.select("text", convert(F.col("text")), values._of(F.col("text"), general)).collect()
    assert [(text, plain) for text, plain, _ in found] == [(text, slow) for text, _, slow in found]


SETTINGS = {
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.legacy.timeParserPolicy": "LEGACY",
}
TIMES = {
    "dd.MM.yyyy HH:mm": ("13.05.2024 22:40", "32.05.2024 22:40"),
    "M/d/yy h:mm a": ("5/13/24 10:40 PM", "5/13/24 13:40 PM"),
    "d MMM yyyy, HH:mm:ss": ("13 May 2024, 22:40:00", "13 Mai 2024, 22:40:00"),
    "yyyy-MM-dd'T'HH:mmXXX": ("2024-05-14T07:40+09:00", "2024-05-14T07:40"),
    "yyyyMMddHHmm": ("202405132240", "20240513"),
}


@pytest.fixture(params=SETTINGS)
def _setting(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[None]:
    before = spark.conf.get(request.param)
    spark.conf.set(request.param, SETTINGS[request.param])
    yield
    spark.conf.set(request.param, str(before))


@pytest.mark.usefixtures("_setting")
def test_times_do_not_depend_on_the_session(spark: SparkSession) -> None:
    """Every way to write one moment, in one row: micros since 1970 are the same under each setting."""
    micros = 1715640000000000
    plain = [
        "1715640000",
        "2024-05-13T22:40:00",
        "2024-05-13 22:40Z",
        "2024-05-14T07:40:00.000+09:00",
        "20240513224000",
    ]
    read = [values.time(F.lit(text)) for text in plain]
    read += [values.time(F.lit(text), parse_format(form)) for form, (text, _) in TIMES.items()]
    read += [values.time(F.lit("2024-05-14 07:40"), zone="Asia/Tokyo")]
    read += [values.time(F.lit("14.05.2024 00:40"), parse_format("dd.MM.yyyy HH:mm"), zone="Europe/Berlin")]
    units = {"seconds": 1, "milliseconds": 1000, "microseconds": 10**6, "nanoseconds": 10**9}
    read += [values.time(F.lit(str(1715640000 * n)), unit=unit) for unit, n in units.items()]  # type: ignore[arg-type]
    read += [values.time(F.lit(str(45425 + (22 * 60 + 40) / 1440)), unit="excel_days")]
    found = spark.range(1).select(*[F.unix_micros(time) for time in read]).collect()[0]
    assert list(found) == [micros] * len(read)
    bad = [values.time(F.lit(text), parse_format(form)) for form, (_, text) in TIMES.items()]
    bad += [values.time(F.lit(text), unit="seconds") for text in ("-1", "0", "2024-05-13", "1e9", "9" * 19)]
    assert list(spark.range(1).select(*[F.unix_micros(time) for time in bad]).collect()[0]) == [None] * len(bad)


def test_numbers_with_a_decimal_comma(spark: SparkSession) -> None:
    texts = ["1.234", "12,5", "1.234,5", "7", "1,5k", "1.2.3", "1,2,3"]
    rows = spark.createDataFrame([(text,) for text in texts], "text string")
    found = rows.select(values.count(F.col("text"), ","), values.number(F.col("text"), ",")).collect()
    expected = [(1234, 1234.0), (None, 12.5), (None, 1234.5), (7, 7.0), (1500, None), (None, None), (None, None)]
    assert [tuple(row) for row in found] == expected


def test_ids_that_went_through_a_float(spark: SparkSession) -> None:
    kept = {"458398.0": "458398", "12.00": "12", "9007199254740991.0": "9007199254740991", "7e5": "7e5", "a.0": "a.0"}
    rounded = [
        "1.25018E+18",
        "1,78912E+18",
        "1.294030472427835e+18",
        "1.0E7",
        "9E+17",
        "9007199254740993.0",
        "1294030472427830000.0",
    ]
    rows = spark.createDataFrame([(text,) for text in (*kept, *rounded, "", None)], "text string")
    reason = values.first_reason(*values.id_reasons(F.col("text")))
    found = [tuple(row) for row in rows.select(values.identifier(F.col("text")), reason).collect()]
    assert found == [
        *[(value, None) for value in kept.values()],
        *[(None, "rounded_id")] * len(rounded),
        *[(None, "missing_id")] * 2,
    ]


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


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("""{"username": "Ann \\"Zoe\\" Lee", "id": "1"}""", """{"username": "...", "id": "1"}"""),
        (
            """{'username': 'bob', "full_name": "O'Zoe", 'id': '1'}""",
            """{'username': '...', "full_name": "...", 'id': '1'}""",
        ),
        ("""{u'username': u'zoe', u'id': 1}""", """{u'username': u'...', u'id': 1}"""),
        (
            """{username: zoe, id: 1, 'name':None, "name": null}""",
            """{username: "...", id: 1, 'name':None, "name": null}""",
        ),
        ("""{"id": "1", "username": "zo""", """{"id": "1", "username": "...\""""),
        ("""rname": "zoe"}""", """rname": "..."}"""),
        (
            """{"a": "{\\"name\\": \\"Zoe \\\\\\"L\\\\\\"\\", \\"b\\": 1}"}""",
            """{"a": "{\\"name\\": \\"...\\", \\"b\\": 1}"}""",
        ),
        ("""{"mentions": ["bob", "z]oe"], "n": [1]}""", """{"mentions": "...", "n": [1]}"""),
        ("""{"realname": {"_content": "Zoe"}, "views": "3"}""", """{"realname": "...", "views": "3"}"""),
        (
            """{"value": "bob", "detail": "no user: [zoe].", "parameter": "username", "title": "Not Found"}""",
            """{"value": "...", "detail": "...", "parameter": "username", "title": "Not Found"}""",
        ),
        ("""{"value": "123", "resource_id": "123"}""", """{"value": "123", "resource_id": "123"}"""),
        ("""{"message": "The value [zoe] is none"}""", """{"message": "..."}"""),
        ("""{"message": "Photo not found", "code": 1}""", """{"message": "Photo not found", "code": 1}"""),
        (
            """{"expanded_url": "https:\\/\\/twitter.com\\/zoe\\/status\\/1", "id": 1}""",
            """{"expanded_url": "https:\\/\\/twitter.com\\/...", "id": 1}""",
        ),
        (
            """{"inputUrl": "zoe", "url": "https://www.instagram.com/zoe/"}""",
            """{"inputUrl": "...", "url": "https://www.instagram.com/..."}""",
        ),
        (
            """{"photopage": "https://www.flickr.com/photos/zoe/2/"}""",
            """{"photopage": "https://www.flickr.com/..."}""",
        ),
        ("""{"u": "https%3A%2F%2Fx.com%2Fzoe"}""", """{"u": "https%3A%2F%2Fx.com%2F..."}"""),
        (
            """{"u": "https://live.staticflickr.com/1/2_o.jpg"}""",
            """{"u": "https://live.staticflickr.com/1/2_o.jpg"}""",
        ),
        ("""{"tags": [{"tag": "sea", "user": "zoe"}]}""", """{"tags": [{"tag": "sea", "user": "..."}]}"""),
        ("""{"name": \"""" + 'zoe \\" ' * 30_000, """{"name": "...\""""),
        ("""{"mentions": [""" + '"zoe", ' * 30_000, """{"mentions": "...\""""),
        ("""{"text": "hi @ann, names and users", "id": 1}""", """{"text": "hi @ann, names and users", "id": 1}"""),
    ],
)
def test_records_without_names(spark: SparkSession, text: str, hidden: str) -> None:
    rows = spark.createDataFrame([(text,)], "text string")
    found = rows.select(values.without_names(F.col("text"), False), values.without_names(F.col("text"), True))
    assert tuple(found.collect()[0]) == (hidden, text)


@pytest.mark.parametrize(
    ("text", "names", "hidden"),
    [
        ('1,"Ann ""Zoe"" Lee",h', ['Ann "Zoe" Lee'], '1,"...",h'),
        ("1,bob,@bob @bobby @alice", ["bob", "@bob @bobby @alice"], "1,...,..."),
        ("bob bob lee", ["bob", "bob lee"], "... ..."),
        ("5 h of the rehash, h", ["h"], "5 ... of the rehash, ..."),
        ('["bob", "alice"] é', ['["alice", "bob"]'], '["...", "..."] é'),
        ("a.b a+b", ["a.b", ""], "... a+b"),
        ("nothing", [None], "nothing"),
    ],
)
def test_texts_without_words(spark: SparkSession, text: str, names: list[str | None], hidden: str) -> None:
    words = values.words_of_names(*[F.lit(name).cast("string") for name in names])
    rows = spark.createDataFrame([(text,)], "text string")
    assert rows.select(values.without_words(F.col("text"), words)).collect()[0][0] == hidden
