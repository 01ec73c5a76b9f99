"""Exports of posts, each origin read by a file of `popspark.ingest.origins`, to posts and rejects.

An origin's file has `FILE`, the pattern of the files that it reads, and `parse(spark, source, options)`, which gives
a DataFrame with the columns of `popspark.storage.tables.POSTS` that the origin knows (the others become null) and

    file, line   of the row in the export; line counts from 1, in a JSON array objects instead of lines
    raw          its text
    reason       null for a post, else why it cannot be one

No row of the export is left out of it. `popspark.ingest.accounting` writes the two tables and checks the sum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from popspark.runtime.errors import ConfigError, PathError, unknown

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ORIGINS = {
    "smp_t1": "popspark.ingest.origins.smp_t1",
    "smpd": "popspark.ingest.origins.smpd",
    "x_api": "popspark.ingest.origins.x_api",
    "flickr": "popspark.ingest.origins.flickr",
    "csv": "popspark.ingest.origins.table",
    "parquet": "popspark.ingest.origins.table",
}
"""The one table of origins: a new one is a file there and a line here."""


@dataclass(frozen=True)
class Options:
    """Settings of a whole export.

    collected_at: when it was collected, as ISO 8601, for origins that do not tell; None leaves it unknown.
    keep_user_names: names as they are, instead of their sha256.
    user_name_salt: put before each name that is hashed, so that a list of known names does not undo it.
    mapping: csv and parquet only; see `popspark.ingest.origins.table`.
    """

    collected_at: str | None = None
    keep_user_names: bool = False
    user_name_salt: str = ""
    mapping: dict[str, Any] | None = None


def load_mapping(path: str) -> dict[str, Any]:
    """The column mapping in a YAML file; raises `PathError` or `ConfigError` where it is none."""
    if not Path(path).is_file():
        raise PathError("There is no such column mapping.", where=path)
    mapping = yaml.safe_load(Path(path).read_text("utf-8"))
    if not isinstance(mapping, dict):
        raise ConfigError("A column mapping is `column of posts: column of the export`, a line each.", where=path)
    return mapping


def _find_origin(origin: str) -> Any:
    if origin not in ORIGINS:
        raise unknown("origin", origin, ORIGINS, where="origin")
    return import_module(ORIGINS[origin])


def is_read(origin: str, file: str) -> bool:
    """Whether the origin reads a file of that path."""
    return file.lower().endswith(".zip") or re.search(_find_origin(origin).FILE, file) is not None


def parse_export(spark: SparkSession, origin: str, source: str, options: Options) -> DataFrame:
    """The parsed rows, see above, of the export at `source`, a folder or a file.

    Raises `ConfigError` for an unknown origin, `PathError` where the source does not hold what the origin needs.
    """
    module = _find_origin(origin)
    if (options.mapping is not None) != (origin in ("csv", "parquet")):
        raise ConfigError(
            "A column mapping belongs to the origins csv and parquet, which need one.",
            where=f"origin {origin}",
            got=f"mapping {'given' if options.mapping is not None else 'absent'}",
        )
    parsed: DataFrame = module.parse(spark, source, options)
    return parsed
