"""Exports of posts, each origin read by a file of `popspark.ingest.origins`, to posts and rejects.

An origin's file has `reads(file)`, whether it reads a file of that path; where it does not read all that a zip or tar
holds, `reads_member(name)`; and `parse(spark, files, options)`, files as `find_export` finds them, to a DataFrame with
the columns of `popspark.storage.tables.POSTS` that the origin knows (the others become null) and

    file, line   of the row in the export; line counts from 1
    nth, item    from 0, where several records begin on one line, and where one holds several posts
    raw          its text, without user names unless they are kept
    reason       null for a post, else why it cannot be one

No row of the export is left out of it. `popspark.ingest.accounting` writes the two tables and checks the sum.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from popspark.ingest.mapping import ColumnMapping, load_mapping
from popspark.ingest.readers.files import Files, find_files, list_files
from popspark.ingest.settings import MAPPED
from popspark.ingest.times import parse_time
from popspark.runtime.errors import ConfigError, unknown

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ORIGINS = {
    "smp_t1": "popspark.ingest.origins.smp_t1",
    "smpd": "popspark.ingest.origins.smpd",
    "x_api": "popspark.ingest.origins.x_api",
    "flickr": "popspark.ingest.origins.flickr",
    "instagram": "popspark.ingest.origins.instagram",
    "csv": "popspark.ingest.origins.csv",
    "parquet": "popspark.ingest.origins.parquet",
}
"""The one table of origins: a new one is a file there and a line here."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Settings of a whole export.

    collected_at: when it was collected, in ISO 8601 and UTC, for origins that do not tell; None leaves it unknown.
    keep_user_names: names as they are, instead of their sha256.
    user_name_salt: put before each name that is hashed, so that a list of known names does not undo it.
    mapping: csv and parquet only.
    """

    collected_at: str | None = None
    keep_user_names: bool = False
    user_name_salt: str = ""
    mapping: ColumnMapping | None = None


def check_options(
    origin: str,
    mapping: str | None,
    collected_at: str | None = None,
    keep_user_names: bool = False,
    user_name_salt: str = "",
) -> Options:
    """The options of an export, from settings as they are given. mapping: the path of a YAML file.

    Raises `ConfigError` or `PathError` for what cannot be used; needs no session.
    """
    if (mapping is not None) != (origin in MAPPED):
        raise ConfigError(
            "A column mapping belongs to the origins csv and parquet, which need one.",
            where=f"origin {origin}",
            got=f"mapping {'given' if mapping is not None else 'absent'}",
        )
    return Options(
        collected_at=parse_time(collected_at, "collected_at").isoformat() if collected_at is not None else None,
        keep_user_names=keep_user_names,
        user_name_salt=user_name_salt,
        mapping=load_mapping(mapping) if mapping is not None else None,
    )


def _find_origin(origin: str) -> Any:
    if origin not in ORIGINS:
        raise unknown("origin", origin, ORIGINS, where="origin")
    return import_module(ORIGINS[origin])


def is_read(origin: str, file: str) -> bool:
    """Whether the origin reads a file of that path."""
    read: bool = _find_origin(origin).reads(file)
    return read


def find_export(spark: SparkSession, origin: str, source: str, options: Options) -> Files:
    """The files at `source`, a folder or a file, that the origin reads, and those that it leaves out.

    Raises `ConfigError` for an unknown origin, `PathError` where there is no file.
    """
    found = _find_origin(origin)
    labels = options.mapping.labels_source if options.mapping and options.mapping.labels else None
    of_labels = list_files(spark, labels) if labels else []
    return find_files(spark, source, found.reads, getattr(found, "reads_member", lambda _: True), of_labels)


def parse_export(spark: SparkSession, origin: str, source: str, options: Options) -> DataFrame:
    """The parsed rows, see above, of the export at `source`, a folder or a file; what is left out of it is logged.

    Raises `ConfigError` for an unknown origin, `PathError` where the source does not hold what the origin needs,
    `SchemaError` where it lacks columns.
    """
    files = find_export(spark, origin, source, options)
    if files.read and str(files):
        _LOG.warning("%s", files)
    parsed: DataFrame = _find_origin(origin).parse(spark, files, options)
    return parsed
