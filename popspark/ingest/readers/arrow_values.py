"""Columns of text to values as `popspark.ingest.values` makes them, in Arrow, where Spark would interpret them.

Only what is plain becomes a value here; of other forms the text goes on to Spark, so that each has one meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from popspark.ingest.values import ABSENT

NO_TEXT = pa.scalar(None, pa.string())


def given(texts: pa.Array) -> pa.Array:
    """The text without the spaces around it, null where absent."""
    trimmed = pc.ascii_trim(texts, " ")
    is_absent = pc.is_in(pc.ascii_lower(trimmed), value_set=pa.array(ABSENT))
    return pc.if_else(is_absent, NO_TEXT, trimmed) if is_absent.true_count else trimmed


def prose(texts: pa.Array) -> pa.Array:
    """The text as it is; the word None alone is an absent one."""
    return pc.if_else(pc.equal(texts, "None"), NO_TEXT, texts)


def identifier(texts: pa.Array) -> pa.Array:
    """An id as text; a number that went through a float loses its `.0`."""
    return pc.replace_substring_regex(given(texts), r"^(\d+)\.0$", r"\1")


def same_ids(texts: pa.Array, others: pa.Array) -> pa.Array:
    """Whether each names the same as the other: two numbers do, also where one of them went through a float."""
    equal = pc.fill_null(pc.equal(texts, others), False)
    if equal.false_count == 0:
        return equal
    left, right = identifier(texts), identifier(others)
    return pc.or_(pc.fill_null(pc.equal(left, right), False), pc.and_(pc.is_null(left), pc.is_null(right)))


def plain_values(texts: pa.Array, kind: str) -> tuple[pa.Array, pa.Array]:
    """Values of `KINDS`, null where the text is not plain, and the texts of which that is so."""
    pattern, convert, _ = KINDS[kind]
    if pattern is None:
        return convert(texts), pa.nulls(len(texts), pa.string())
    is_plain = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    return convert(pc.if_else(is_plain, texts, NO_TEXT)), pc.if_else(is_plain, NO_TEXT, texts)


def _words(texts: pa.Array) -> pa.Array:
    lists = pc.split_pattern(prose(texts), " ")
    flat = lists.flatten()
    is_word = np.not_equal(pc.binary_length(flat).to_numpy(zero_copy_only=False), 0)
    n_before = np.concatenate([[0], np.cumsum(is_word)])
    offsets = n_before[np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(lists), 0))])]
    is_null = np.append(lists.is_null().to_numpy(zero_copy_only=False), False)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32(), mask=is_null), flat.filter(pa.array(is_word)))


def _time(texts: pa.Array) -> pa.Array:
    return pc.multiply(texts.cast(pa.int64()), 1_000_000).cast(pa.timestamp("us", "UTC"))


KINDS: dict[str, tuple[str | None, Callable[[pa.Array], pa.Array], str]] = {
    "count": (r"^\d{1,18}$", lambda texts: texts.cast(pa.int64()), "bigint"),
    "given": (None, given, "string"),
    "identifier": (None, identifier, "string"),
    "number": (r"^-?\d{1,15}(\.\d{1,15})?$", lambda texts: texts.cast(pa.float64()), "double"),
    "time": (r"^\d{5,11}$", _time, "timestamp"),
    "words": (r"^[^\t\n\v\f\r]*$", _words, "array<string>"),
}
"""By the name in `popspark.ingest.values`: what is plain (None: all), how that is converted, Spark's type for it."""


def hashed(names: pa.Array, salt: str) -> pa.Array:
    """The sha256 of each name in hex, behind the salt."""
    return pa.array([None if name is None else _digest(salt + name) for name in names.to_pylist()], pa.string())


@lru_cache(1 << 17)  # users post again
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def extras(values: Mapping[str, pa.Array]) -> pa.Array:
    """Of each row the map of what is not null, by name."""
    n_rows, n_names = len(next(iter(values.values()))), len(values)
    is_known = np.stack([one.is_valid().to_numpy(zero_copy_only=False) for one in values.values()], axis=1)
    row, name = np.divmod(np.flatnonzero(is_known), n_names)
    items = pa.concat_arrays(list(values.values())).take(pa.array(name * n_rows + row))
    offsets = np.concatenate([[0], np.cumsum(is_known.sum(axis=1))])
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(list(values)).take(pa.array(name)), items)
