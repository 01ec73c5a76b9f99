"""Times as exports write them, to timestamps: columns in, columns out, the same under every setting of the session.

A time is read only where it can be read in one way. Without a mapping that says more, these are:

    2024-05-01, 2024-05-01T10:15Z, 2024-05-01 10:15:00.5+02:00   ISO 8601, and its basic form 20240501T101500Z
    20240501, 20240501101500, 2024/05/01 10:15                   the same without its dashes, or with other signs
    Wed May 01 10:15:00 +0000 2024                               as X writes it
    Wed, 01 May 2024 10:15:00 +0000                              as e-mail does
    1714558500 and 1714558500000, ...                            seconds, milli-, micro- or nanoseconds since 1970

A time without an offset is UTC, or of the `zone` that the mapping names: in the hour that a zone has twice, the first.
A time before 1990 or from 2100 on is none: it stands for an unknown date (0001-01-01, 1970-01-01, 9999-12-31), and of
the numbers each range of digits then has one unit only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pyspark.sql import Column
from pyspark.sql import functions as F

from popspark.runtime.errors import ConfigError

TimeUnit = Literal["seconds", "milliseconds", "microseconds", "nanoseconds", "excel_days"]
UNITS: tuple[TimeUnit, ...] = get_args(TimeUnit)
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
LEGAL = f"from {EARLIEST:%Y-%m-%d} to before {LATEST:%Y-%m-%d}"
_FIRST, _END = int(EARLIEST.timestamp()), int(LATEST.timestamp())
_EXCEL_EPOCH_DAYS = 25569
"""Of 1970-01-01, counted as Excel counts days, whose day 0 is 1899-12-30."""

_SPACE = "[\\s\u00a0\u2009\u202f]"
"""Java's \\s has none of the narrow ones, which programs set before AM and PM."""
_OFFSET = r"[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?"
_PLAIN_ISO = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = (
    "(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)
"""Whole names only: marraskuu, November in Finnish, is no March."""
_LETTERS = {
    "y": ("year", r"\d{4}"),
    "u": ("year", r"\d{4}"),
    "M": ("month", r"\d\d?"),
    "d": ("day", r"\d\d?"),
    "H": ("hour", r"\d\d?"),
    "h": ("hour", r"\d\d?"),
    "m": ("minute", r"\d\d"),
    "s": ("second", r"\d\d"),
    "S": ("fraction", r"\d{1,9}"),
    "a": ("half", "[AaPp][Mm]"),
    "E": ("", "[A-Za-z]+"),
    "Z": ("offset", _OFFSET),
    "X": ("offset", _OFFSET),
    "x": ("offset", _OFFSET),
}


@dataclass(frozen=True)
class TimeFormat:
    """A format as a regular expression, and which of its groups, from 1, is which field of the time."""

    regex: str
    groups: dict[str, int]
    has_month_names: bool = False


def parse_format(pattern: str) -> TimeFormat:
    """The format that a pattern of Java's letters describes, `dd.MM.yyyy HH:mm`; raises `ConfigError`.

    Month names are English. Two digits of a year are of the 21st century.
    """
    regex, groups, has_names = "", dict[str, int](), False
    for token in re.findall(r"'[^']*'|[A-Za-z]+|[^A-Za-z']+", pattern):
        if not token[0].isalpha():
            regex += re.escape(token.strip("'") or "'").replace("\\ ", _SPACE + "+")
            continue
        for letter, repeated in groupby(token):
            n = len(list(repeated))
            name, field = _LETTERS.get(letter, (None, ""))
            if name is None or name in groups:
                raise ConfigError(
                    "This format of times cannot be used.",
                    where="format in the mapping",
                    got=repr(pattern),
                    legal=f"each of year, month, day, hour, ... once, by the letters {' '.join(_LETTERS)}",
                    fix="dd.MM.yyyy HH:mm",
                )
            if letter == "M" and n > 2:
                field, has_names = _MONTH_NAMES, True
            elif name == "year" and n == 2:
                field = r"\d\d"
            regex += f"({field})" if name else field
            if name:
                groups[name] = len(groups) + 1
    lacking = [name for name in ("year", "month", "day") if name not in groups]
    if "h" in re.sub(r"'[^']*'", "", pattern) and "half" not in groups:
        lacking.append("a, AM or PM, which h needs (HH is of 24 hours)")
    if lacking:
        raise ConfigError(
            "This format of times cannot be used.",
            where="format in the mapping",
            got=f"{pattern!r} without {', '.join(lacking)}",
            fix="dd.MM.yyyy HH:mm",
        )
    return TimeFormat(f"^{regex}$", groups, has_names)


ISO = TimeFormat(
    rf"^(\d{{4}})([-/.])(\d\d?)\2(\d\d?)(?:[Tt ](\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?{_SPACE}?({_OFFSET})?)?$",
    {"year": 1, "month": 3, "day": 4, "hour": 5, "minute": 6, "second": 7, "fraction": 8, "offset": 9},
)
BASIC = TimeFormat(
    rf"^(\d{{4}})(\d\d)(\d\d)(?:T?(\d\d)(\d\d)(\d\d)({_OFFSET})?)?$",
    {"year": 1, "month": 2, "day": 3, "hour": 4, "minute": 5, "second": 6, "offset": 7},
)
FORMATS = (ISO, BASIC, parse_format("E MMM d HH:mm:ss Z yyyy"), parse_format("E, d MMM yyyy HH:mm:ss Z"))


def check_zone(zone: str) -> str:
    """The zone, where there is one of that name; raises `ConfigError`."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            "There is no such time zone.", where="zone in the mapping", got=repr(zone), legal="Europe/Berlin, UTC, ..."
        ) from error
    return zone


def parse_time(text: str, where: str) -> datetime:
    """An ISO 8601 time of the configuration, UTC without an offset; raises `ConfigError` where it is none."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        time = datetime.min
    time = time.replace(tzinfo=time.tzinfo or UTC)
    if not EARLIEST <= time < LATEST:
        raise ConfigError(
            "This is no time.", where=where, got=repr(text), legal=f"ISO 8601, {LEGAL}", fix="2024-05-01T10:15:00Z"
        )
    return time.astimezone(UTC)


def read_time(
    value: Column, time_format: TimeFormat | None = None, unit: TimeUnit | None = None, zone: str | None = None
) -> Column:
    """Timestamps of texts without spaces around them, null where there is none or it can be read in two ways.

    time_format, unit: the only way to read them; without either, the ways above. zone: of times without an offset.
    """
    if unit:
        return _legal(_of_unit(value, unit, zone))
    if time_format:
        return _legal(_formatted(value, time_format, zone))
    iso = F.when(value.rlike(_PLAIN_ISO), value.try_cast("timestamp_ltz"))
    return _legal(F.coalesce(iso, _of_number(value), *[_formatted(value, known, zone) for known in FORMATS]))


def _legal(time: Column) -> Column:
    micros = F.unix_micros(time)
    return F.when((micros >= _FIRST * 1_000_000) & (micros < _END * 1_000_000), time)


def _of_number(value: Column) -> Column:
    """The time of a number since 1970 in the one unit that makes it legal."""
    digits = F.regexp_replace(value, r"\.0+$", "")
    whole = F.when(digits.rlike(r"^\d{9,19}$"), digits).try_cast("bigint")
    broken = F.when(value.rlike(r"^\d{9,13}\.\d+$"), value).try_cast("double")

    def within(number: Column, per_second: int) -> Column:
        return (number >= _FIRST * per_second) & (number < _END * per_second)

    micros = (
        F.when(within(whole, 1), whole * 1_000_000)
        .when(within(whole, 1000), whole * 1000)
        .when(within(whole, 1_000_000), whole)
        .when(within(whole, 1_000_000_000), ((whole - whole % 1000) / 1000).cast("bigint"))
        .when(within(broken, 1), F.round(broken * 1e6).cast("bigint"))
        .when(within(broken, 1000), F.round(broken * 1e3).cast("bigint"))
    )
    return F.timestamp_micros(micros)


def _of_unit(value: Column, unit: TimeUnit, zone: str | None) -> Column:
    number = F.when(value.rlike(r"^\d{1,19}(\.\d+)?$"), value).try_cast("decimal(28,9)")
    if unit == "excel_days":
        micros = F.round((number.cast("double") - _EXCEL_EPOCH_DAYS) * 86400e3) * 1000  # to a millisecond, as it shows
    else:
        micros = F.floor(number * F.lit(str(10.0 ** (6 - 3 * UNITS.index(unit)))).cast("decimal(10,3)"))
    time = F.timestamp_micros(F.when(micros < _END * 1_000_000, micros).cast("bigint"))
    return F.to_utc_timestamp(time, zone) if zone and unit == "excel_days" else time


def _formatted(value: Column, form: TimeFormat, zone: str | None) -> Column:
    def group(name: str) -> Column:
        return F.regexp_extract(value, form.regex, form.groups[name]) if name in form.groups else F.lit("")

    def padded(name: str) -> Column:
        found = group(name)
        return F.when(found == "", F.lit("00")).otherwise(F.lpad(found, 2, "0"))

    year = group("year")
    year = F.when(F.length(year) == 2, F.concat(F.lit("20"), year)).otherwise(year)
    month = padded("month")
    if form.has_month_names:
        position = F.array_position(F.array(*map(F.lit, _MONTHS)), F.lower(F.substring(group("month"), 1, 3)))
        month = F.lpad(position.cast("string"), 2, "0")
    hour = padded("hour")
    if "half" in form.groups:
        clock = group("hour").try_cast("int")
        of_day = clock % 12 + F.when(F.lower(group("half")) == "pm", 12).otherwise(0)
        hour = F.when(clock.between(1, 12), F.lpad(of_day.cast("string"), 2, "0"))
    fraction = F.when(group("fraction") == "", F.lit("0")).otherwise(group("fraction"))
    offset = F.regexp_replace(F.regexp_replace(group("offset"), r"^([+-]\d\d):?(\d\d)$", "$1:$2"), "^(z|UTC|GMT)$", "Z")
    offset = F.regexp_replace(offset, r"^([+-]\d\d)$", "$1:00")
    wall = F.concat(
        *(year, F.lit("-"), month, F.lit("-"), padded("day"), F.lit("T"), hour, F.lit(":"), padded("minute")),
        *(F.lit(":"), padded("second"), F.lit("."), fraction),
    )
    text = F.concat(wall, F.when(offset == "", F.lit("Z")).otherwise(offset))
    time = F.when(value.rlike(form.regex), text).try_cast("timestamp_ltz")
    return F.when(offset == "", F.to_utc_timestamp(time, zone)).otherwise(time) if zone else time


def name_format(text: str) -> str:
    """A hint for a text with a time in it that cannot be read as it is, or an empty text."""
    found = re.search(
        r"(?<!\d)(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})(?:(,?)\s+(\d{1,2}:\d\d)(:\d\d)?(\s[AaPp][Mm])?)?(?!\d)", text
    )
    if not found:
        return "see docs/how-to/own-posts.md for the times that are read; format, unit or zone in the mapping say more"
    first, sign, second, last, comma, clock, seconds, half = found.groups()
    year = "yyyy" if len(last) > 2 else "yy"
    day_first = f"dd{sign}MM{sign}{year}"
    dates = [day_first] if sign == "." or int(first) > 12 else [day_first, f"MM{sign}dd{sign}{year}"]
    if int(second) > 12:
        dates = [f"MM{sign}dd{sign}{year}"]
    if len(first) == 4:
        return f"a time is read {LEGAL}, with an offset in digits or Z or without one: not {found[0]!r}"
    ending = (
        (comma or "")
        + (" h:mm" if half else " HH:mm" if clock else "")
        + (":ss" if seconds else "")
        + (" a" if half else "")
    )
    formats = " or ".join(f"format: '{date}{ending}'" for date in dates)
    return f"{found[0]!r} is read with {formats} at this column in the mapping"
