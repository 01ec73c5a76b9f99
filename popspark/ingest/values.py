"""Text as exports hold it, to typed values: columns in, columns out.

Every function takes a string column and gives null both for what is absent and for what cannot be read; `is_bad` tells
the two apart. Absent are null, "" and the words None, null, NaN and N/A.

Spark interprets what stands in a lambda, and compiles a regex for each value that it splits. So the plain form of a
value, digits or single spaces, goes a compiled way of its own, to the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

ABSENT = ("", "none", "null", "nan", "n/a")
MILLISECONDS_FROM = 100_000_000_000
"""Epochs from here on are milliseconds: as seconds it would be the year 5138, as milliseconds it is March 1973."""


def known(text: Column) -> Column:
    """The text without the spaces around it, null where absent."""
    trimmed = F.trim(text)
    is_short = F.octet_length(trimmed) <= max(map(len, ABSENT))
    return F.when(is_short & F.lower(trimmed).isin(*ABSENT), F.lit(None)).otherwise(trimmed)


def free_text(text: Column) -> Column:
    """A title or caption as it is: an empty one is known to be empty; the word None alone is an absent one."""
    return F.when(text == "None", F.lit(None)).otherwise(text)


def _of(text: Column, convert: Callable[[Column], Column]) -> Column:
    """`convert` of the text as a bound variable: written out, each use of it would repeat the whole expression, and
    generated code grows past what the compiler takes.
    """
    return F.get(F.transform(F.array(known(text)), convert), F.lit(0))


def count(text: Column) -> Column:
    """A whole number from 0: `12`, `12.0`, `1,234`, `75.2k`, `3M`, `1.1b`."""
    return F.coalesce(F.when(text.rlike(r"^\d{1,18}$"), text.try_cast("bigint")), _of(text, _count))


def _count(value: Column) -> Column:
    grouped = r"^\d{1,3}(,\d{3})+(\.\d+)?[kmb]?$"
    digits = F.when(value.rlike(grouped), F.replace(value, F.lit(","), F.lit(""))).otherwise(value)
    parts = F.regexp_extract(F.lower(digits), r"^(\d+(?:\.\d+)?)[kmb]?$", 1)
    factor = F.lit(1.0)
    for unit, size in (("k", 1e3), ("m", 1e6), ("b", 1e9)):
        factor = F.when(F.lower(value).endswith(F.lit(unit)), size).otherwise(factor)
    scaled = F.round(parts.try_cast("double") * factor)
    exact = F.when(value.rlike(r"^\d{1,18}$"), value).try_cast("bigint")  # of digits between spaces
    return F.coalesce(exact, F.when(scaled < 9e18, scaled).try_cast("bigint"))


def number(text: Column) -> Column:
    """A finite double."""
    value = known(text).try_cast("double")
    return F.when(F.abs(value) < float("inf"), value)


def flag(text: Column) -> Column:
    """A boolean: 1, 0, 1.0, 0.0, true, false, yes, no."""
    yes, no = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
    return _of(text, lambda value: F.when(F.lower(value).isin(*yes), True).when(F.lower(value).isin(*no), F.lit(False)))


def time(text: Column) -> Column:
    """A timestamp: epoch seconds, epoch milliseconds, or ISO 8601; without an offset it is UTC."""
    seconds = F.when(text.rlike(r"^\d{5,11}$"), text.try_cast("bigint"))
    return F.coalesce(F.timestamp_seconds(seconds), _of(text, _time))


def _time(value: Column) -> Column:
    epoch = F.when(value.rlike(r"^-?\d{5,15}(\.\d+)?$"), value).try_cast("double")
    micros = epoch * F.when(F.abs(epoch) >= MILLISECONDS_FROM, 1e3).otherwise(1e6)
    iso = F.when(value.rlike(r"^\d{4}-\d\d?-\d\d?"), value).try_cast("timestamp")
    return F.coalesce(F.timestamp_micros(F.round(micros).try_cast("bigint")), iso)


def identifier(text: Column) -> Column:
    """An id as text; a number that went through a float loses its `.0`."""
    value = known(text)
    return F.when(value.endswith(F.lit(".0")), F.regexp_replace(value, r"^(\d+)\.0$", "$1")).otherwise(value)


def words(text: Column) -> Column:
    """What stands between spaces of any kind."""
    plain = F.when(~text.rlike(r"[\t\n\x0B\f\r]"), F.array_remove(F.split(text, " "), ""))
    return F.coalesce(plain, F.filter(F.split(text, r"\s+"), lambda word: word != ""))


def user_name(text: Column, keep: bool, salt: str) -> Column:
    """The name, or its sha256 in hex behind the salt."""
    return known(text) if keep else F.sha2(F.concat(F.lit(salt), known(text)), 256)


def is_bad(text: Column, value: Column) -> Column:
    """Whether there is a text that could not be read."""
    return known(text).isNotNull() & value.isNull()


def first_reason(*cases: tuple[Column, str]) -> Column:
    """The reason of the first condition that holds, null where none does."""
    return F.coalesce(*[F.when(condition, F.lit(reason)) for condition, reason in cases])


def extras(**values: Column) -> Column:
    """The map for `extra`: what is known of `values`, by name."""
    pairs = reduce(lambda found, item: [*found, F.lit(item[0]), item[1].cast("string")], values.items(), list[Column]())
    return F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())
