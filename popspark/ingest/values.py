"""Text as exports hold it, to typed values: columns in, columns out.

Every function takes a string column and gives null both for what is absent and for what cannot be read; `is_bad` tells
the two apart. Absent are null, "", the words None, null, NaN, N/A and <NA>, and the \\N of databases.

Spark interprets what stands in a lambda, and compiles a regex for each value that it splits. So the plain form of a
value, digits or single spaces, goes a compiled way of its own, to the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from popspark.ingest import tags as tags_module
from popspark.ingest.times import EARLIEST, LATEST, TimeFormat, TimeUnit, read_time

ABSENT = ("", "none", "null", "nan", "n/a", "<na>", r"\n")


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


def count(text: Column, decimal: str = ".") -> Column:
    """A whole number from 0: `12`, `12.0`, `1,234`, `1 234`, `1'234`, `75.2k`, `3M`, `1.1b`; 12.5 and -1 are none.

    decimal: the decimal sign; with "," 1.234 is 1234.
    """
    plain = F.when(text.rlike(r"^\d{1,19}$"), text.try_cast("bigint"))
    return F.coalesce(plain, _of(text, lambda value: _count(value, decimal)))


def _count(value: Column, decimal: str = ".") -> Column:
    digits = _ungrouped(value, decimal)
    number = F.regexp_extract(F.lower(digits), r"^(\d+(?:\.\d+)?)[kmb]?$", 1)
    factor = F.lit(1.0)
    for unit, size in (("k", 1e3), ("m", 1e6), ("b", 1e9)):
        factor = F.when(F.lower(value).endswith(F.lit(unit)), size).otherwise(factor)
    scaled = number.try_cast("double") * factor
    is_near = (factor > 1) & (F.abs(scaled - F.round(scaled)) < 1e-6)  # 75.2k as a double; 17.9999999 is none
    rounded = F.when(is_near, F.round(scaled))
    whole = F.regexp_extract(digits, r"^(\d{1,19})(?:\.0+)?$", 1).try_cast("bigint")
    return F.coalesce(whole, F.when(rounded < 9e18, rounded).try_cast("bigint"))


def _ungrouped(value: Column, decimal: str) -> Column:
    """The number without the signs between its thousands, one and the same sign in all, and with a decimal point."""
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    spaces = " '\u2019\u00a0\u2009\u202f"
    grouped = rf"^\d{{1,3}}(?:([{comma}{spaces}])\d{{3}})(?:\1\d{{3}})*(?:{point}\d+)?[kKmMbB]?$"
    digits = F.when(value.rlike(grouped), F.regexp_replace(value, f"[{comma}{spaces}]", "")).otherwise(value)
    return digits if decimal == "." else F.when(~digits.contains("."), F.replace(digits, F.lit(","), F.lit(".")))


def number(text: Column, decimal: str | None = None) -> Column:
    """A finite double. decimal: its decimal sign; only where one is named are thousands told apart."""
    value = known(text) if decimal is None else _ungrouped(known(text), decimal)
    value = F.when(value.rlike(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"), value).try_cast("double")
    return F.when(F.abs(value) < float("inf"), value)


def flag(text: Column) -> Column:
    """A boolean: 1, 0, 1.0, 0.0, true, false, yes, no."""
    yes, no = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
    return _of(text, lambda value: F.when(F.lower(value).isin(*yes), True).when(F.lower(value).isin(*no), F.lit(False)))


def time(
    text: Column, time_format: TimeFormat | None = None, unit: TimeUnit | None = None, zone: str | None = None
) -> Column:
    """A timestamp, see `popspark.ingest.times`."""
    general = _of(text, lambda value: read_time(value, time_format, unit, zone))
    if time_format or unit:
        return general
    return F.coalesce(_seconds(text), general)


def _seconds(text: Column) -> Column:
    seconds = F.when(text.rlike(r"^\d{9,10}$"), text.try_cast("bigint"))
    is_legal = (seconds >= int(EARLIEST.timestamp())) & (seconds < int(LATEST.timestamp()))
    return F.timestamp_seconds(F.when(is_legal, seconds))


def time_of(setting: str | None) -> Column:
    """The timestamp that a checked setting names, null without one."""
    return time(F.lit(setting).cast("string"))


def identifier(text: Column) -> Column:
    """An id as text; a number that went through a float loses its `.0`, and is null where that has rounded it."""
    value = known(text)
    whole = F.when(value.endswith("0") & value.contains("."), F.regexp_replace(value, r"^(\d+)\.0+$", "$1"))
    return F.when(~_is_rounded(value), F.coalesce(whole, value))


def _is_rounded(value: Column) -> Column:
    """Whether an id is a float with an exponent, or larger than 2^53, from where on floats leave numbers out."""
    whole = F.regexp_extract(value, r"^(\d{16,})\.0+$", 1).try_cast("decimal(38,0)")
    has_exponent = value.rlike(r"^-?\d+([.,]\d+[eE]\+?|[eE]\+)\d+$")
    return F.coalesce(has_exponent | (whole >= 2**53), has_exponent)


def id_reasons(*texts: Column) -> tuple[tuple[Column, str], ...]:
    """Cases for `first_reason`: one of the ids was rounded, `rounded_id`, or is absent, `missing_id`."""
    rounded = reduce(Column.__or__, [F.coalesce(_is_rounded(known(text)), F.lit(False)) for text in texts])
    return (rounded, "rounded_id"), (reduce(Column.__or__, [known(text).isNull() for text in texts]), "missing_id")


def words(text: Column) -> Column:
    """What stands between spaces of any kind."""
    plain = F.when(~text.rlike(r"[\t\n\x0B\f\r]"), F.array_remove(F.split(text, " "), ""))
    return F.coalesce(plain, F.filter(F.split(text, r"\s+"), lambda word: word != ""))


def user_name(text: Column, keep: bool, salt: str) -> Column:
    """The name, or its sha256 in hex behind the salt."""
    return known(text) if keep else F.sha2(F.concat(F.lit(salt), known(text)), 256)


_NAME_KEYS = r"names?|path_?alias|mentions|tagged_?users|input_?url|details?|message(?=[^,}\[]*\[)"
"""How the keys end, whatever their case, at which the JSON of an origin names users; an error of X does in brackets."""
_OF_TEXTS = r"user|author|(?:value|resource_id)(?!\\*[\"']?\s*:\s*\\*[\"']?\d+\\*[\"'])"
"""Further ones at which a string is a name; an id in an error of X is none."""
_SITES = r"(?i)((?:(?<=%2f)|(?<![\w-]))(?:twitter|x|instagram|flickr)\.com(?:\\*/|\\+u002f|%2f))"


def _key(ends: str) -> str:
    """A key and the colon behind it: in quotes of either kind, which JSON within JSON escapes, or bare."""
    return rf"(?is)((?:{ends})(?:\\*[\"']|(?<=[{{,]\s{{0,9}}\w{{0,40}}))\s*:\s*"


_STRING = (
    _key(f"{_NAME_KEYS}|{_OF_TEXTS}") + r"[ub]?)"
    r"(?:(\\+[\"'])(?:(?!\\+[\"']\s*[,}\]]).)*+(?:\\+[\"'])?|([\"'])(?:(?!\3)[^\\]|\\.)*+\3?)"
)
_QUOTED = r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?"
_OTHER = (
    _key(_NAME_KEYS) + rf")(?:\[(?:[^\[\]\"']|{_QUOTED}|\[[^\[\]]*+\])*+\]?|\{{[^{{}}]*+\}}?"
    r"|(?!(?:null|none)\b|[ub][\"'])[^\s,}\]\"'\\\[{][^,}\]\n\"']*+)"
)
"""A list, an object, or what has no quotes."""


def without_names(json: Column, keep: bool) -> Column:
    """The text of a record for `rejects`, with ... in place of what names users unless kept.

    That is what follows a key for names, also in text that is no JSON or ends too early, and the path of an address at
    a site whose paths begin with names.
    """
    if keep:
        return json
    hidden = F.regexp_replace(F.regexp_replace(json, _STRING, "$1$2$3...$2$3"), _OTHER, '$1"..."')
    return F.regexp_replace(hidden, _SITES + r"(?:[^\s\"'<>,)}\]\\]|\\+(?=[/u]))++", "$1...")


def words_of_names(*texts: Column) -> Column:
    """The texts that name users, each whole and, where it lists them, its words."""

    def of_text(text: Column) -> Column:
        is_list = text.rlike(r"^[\[{@]|[,;|]")
        listed = F.when(is_list, F.split(text, r"[\s,;|:#@\[\]{}\"'\\]+")).otherwise(F.array().cast("array<string>"))
        return F.concat(F.array(text), listed)

    return F.flatten(F.transform(F.array_compact(F.array(*map(known, texts))), of_text))


def without_words(text: Column, names: Column, letters: str = r"[\p{L}\p{M}\p{N}_]") -> Column:
    """The text with ... in place of each of `names`, an array, where it stands as whole words, as CSV writes it.

    The longest first, so that none stays that another begins. letters: what a word goes on with.
    """
    plain = F.filter(F.array_distinct(names), lambda name: name != "")
    longest = F.array_sort(plain, lambda one, two: F.length(two) - F.length(one))

    def pattern(name: Column) -> Column:
        """The name with signs escaped by backslashes, and quotes doubled; U+FFFD is any bytes that are not UTF-8."""
        signs = F.regexp_replace(name, r"([^\p{L}\p{M}\p{N}\s_\x{80}-\x{ff}])", r"\\\\*\\$1")
        quotes = F.replace(signs, F.lit(r"\\*\""), F.lit(r"(?:\\*\"){1,2}"))
        return F.replace(quotes, F.lit("\u00ef\u00bf\u00bd"), F.lit(r"[\x{80}-\x{ff}]{1,3}"))

    listed = F.array_join(F.transform(longest, pattern), "|")
    found = F.concat(F.lit(f"(?<!{letters})(?:"), listed, F.lit(f")(?!{letters})"))
    return F.when(F.size(plain) > 0, F.regexp_replace(text, found, F.lit("..."))).otherwise(text)


def bytes_without_names(encoded: Column, keep: bool, *names: Column) -> Column:
    """Bytes in base64, changed as `without_names` changes a text, and with ... in place of each of `names`."""
    if keep:
        return encoded
    text = without_names(F.decode(F.unbase64(encoded), "ISO-8859-1"), keep)  # a character a byte
    if names:
        of_bytes = F.transform(words_of_names(*names), lambda name: F.decode(F.encode(name, "UTF-8"), "ISO-8859-1"))
        text = without_words(text, of_bytes, r"\w")
    hidden = F.regexp_replace(F.base64(F.encode(text, "ISO-8859-1")), r"\s", "")
    return F.when(encoded.isNotNull(), hidden)  # names of other rows are not even looked at


def fingerprint(text: Column) -> Column:
    """A hash and the length of a text that may name users, in its place."""
    return F.concat(F.lit("sha256:"), F.sha2(text, 256), F.lit(" of "), F.char_length(text), F.lit(" characters"))


def normal_tags(tags: Column) -> Column:
    """The tags in the form NFC, the first of each; those of ASCII never leave Spark."""

    def normal(found: list[str] | None) -> list[str] | None:
        """The same of one post; on executors."""
        return None if found is None else tags_module.normal_tags(found)

    is_plain = F.octet_length(F.array_join(tags, "")) == F.char_length(F.array_join(tags, ""))
    other = F.udf(normal, "array<string>")(F.when(~is_plain, tags))
    return F.coalesce(other, F.array_distinct(tags))


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
