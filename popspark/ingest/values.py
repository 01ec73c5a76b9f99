"""Text as exports hold it, to typed values: columns in, columns out.

Every function takes a string column and gives null both for what is absent and for what cannot be read; `is_bad` tells
the two apart. Absent are null, "" and the words None, null, NaN and N/A.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

ABSENT = ("", "none", "null", "nan", "n/a")
MILLISECONDS_FROM = 100_000_000_000
"""Epochs from here on are milliseconds: as seconds it would be the year 5138, as milliseconds it is March 1973."""


def given(text: Column) -> Column:
    """The text without the spaces around it, null where absent."""
    trimmed = F.trim(text)
    return F.when(F.lower(trimmed).isin(*ABSENT), F.lit(None)).otherwise(trimmed)


def prose(text: Column) -> Column:
    """A title or caption as it is: an empty one is known to be empty; the word None alone is an absent one."""
    return F.when(text == "None", F.lit(None)).otherwise(text)


def count(text: Column) -> Column:
    """A whole number from 0: `12`, `12.0`, `1,234`, `75.2k`, `3M`, `1.1b`."""
    value = F.lower(given(text))
    plain = F.regexp_replace(value, r"^(\d{1,3})((?:,\d{3})+)(?=$|[.kmb])", "$1$2")
    digits = F.when(
        plain.rlike(r"^\d{1,3}(,\d{3})+(\.\d+)?[kmb]?$"), F.replace(plain, F.lit(","), F.lit(""))
    ).otherwise(plain)
    number = F.regexp_extract(digits, r"^(\d+(?:\.\d+)?)[kmb]?$", 1)
    unit = F.regexp_extract(digits, r"([kmb])$", 1)
    factor = F.when(unit == "k", 1e3).when(unit == "m", 1e6).when(unit == "b", 1e9).otherwise(1.0)
    scaled = F.round(number.try_cast("double") * factor)
    # The first branch is what nearly every row takes; the others cost regular expressions.
    exact = value.try_cast("bigint")
    found = F.when(exact.isNotNull(), exact).when(scaled < 9e18, scaled.try_cast("bigint"))
    return F.when(found >= 0, found)


def number(text: Column) -> Column:
    """A finite double."""
    value = given(text).try_cast("double")
    return F.when(F.abs(value) < float("inf"), value)


def flag(text: Column) -> Column:
    """A boolean: 1, 0, 1.0, 0.0, true, false, yes, no."""
    value = F.lower(given(text))
    return F.when(value.isin("1", "1.0", "true", "yes"), True).when(value.isin("0", "0.0", "false", "no"), False)


def time(text: Column) -> Column:
    """A timestamp: epoch seconds, epoch milliseconds, or ISO 8601; without an offset it is UTC."""
    value = given(text)
    epoch = F.when(value.rlike(r"^-?\d{5,}(\.\d+)?$"), value).try_cast("double")
    seconds = F.when(F.abs(epoch) >= MILLISECONDS_FROM, epoch / 1000).otherwise(epoch)
    from_epoch = F.when(F.abs(seconds) < MILLISECONDS_FROM, F.timestamp_micros((seconds * 1e6).try_cast("bigint")))
    return F.when(epoch.isNotNull(), from_epoch).when(value.rlike(r"^\d{4}-\d\d?-\d\d?"), value.try_cast("timestamp"))


def identifier(text: Column) -> Column:
    """An id as text; a number that went through a float loses its `.0`."""
    return F.regexp_replace(given(text), r"^(\d+)\.0$", "$1")


def user_name(text: Column, keep: bool, salt: str) -> Column:
    """The name, or its sha256 in hex behind the salt."""
    return given(text) if keep else F.sha2(F.concat(F.lit(salt), given(text)), 256)


def is_bad(text: Column, value: Column) -> Column:
    """Whether something was given and could not be read."""
    return given(text).isNotNull() & value.isNull()


def first_reason(*cases: tuple[Column, str]) -> Column:
    """The reason of the first condition that holds, null where none does."""
    return F.coalesce(*[F.when(condition, F.lit(reason)) for condition, reason in cases])


def extras(**values: Column) -> Column:
    """The map for `extra`: what is known of `values`, by name."""
    pairs = reduce(lambda found, item: [*found, F.lit(item[0]), item[1].cast("string")], values.items(), list[Column]())
    return F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())
