"""Makes a folder of Parquet that an earlier popspark wrote a Delta table, in place. Nothing is computed. No Spark.

    popspark convert table=warehouse/posts
    popspark convert table=warehouse

Reads: the footers of its files.
Writes: a log beside them, _delta_log.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """A table of before."""

    table: str
    """The folder of Parquet files, or a warehouse with all its tables."""


def main(config: Config) -> None:
    from popspark.storage.maintenance import convert, find_old_tables
    from popspark.storage.writing import claim

    for path in find_old_tables(config.table):
        with claim([path], config.run_id):
            table, n_rows = convert(path)
        print(f"{path} is the Delta table {table.name} now, of {n_rows:,} rows")
