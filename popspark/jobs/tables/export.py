"""Writes the rows of a table as plain Parquet, for programs that read no Delta.

    popspark export table=warehouse/scores to=scores_parquet

Reads: a table, by path or by name.
Writes: a new folder of Parquet files.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """A table, and where to."""

    table: str
    """A folder, or table:NAME in the session's catalog."""
    to: str
    """The folder to write, which must not exist."""


def main(config: Config) -> None:
    from popspark.runtime.errors import PathError
    from popspark.runtime.files import exists
    from popspark.runtime.session import get_session
    from popspark.storage.delta import locate_folder
    from popspark.storage.warehouse import as_uri, open_rows

    if exists(config.to):
        raise PathError("The folder to write is there already.", where=config.to, fix="give another one")
    spark = get_session("export", config.env.spark)
    rows = open_rows(spark, config.table)
    rows.write.mode("errorifexists").parquet(as_uri(locate_folder(config.to)))
    print(f"Wrote the rows of {config.table} to {config.to}")
