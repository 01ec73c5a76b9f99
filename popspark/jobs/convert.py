"""Makes a folder of Parquet that an earlier popspark wrote a Delta table, in place. Nothing is computed. No Spark.

    popspark convert table=warehouse/posts

Reads: the footers of its files.
Writes: a log beside them, _delta_log.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """A table of before."""

    table: str
    """The folder of Parquet files."""


def main(config: Config) -> None:
    from popspark.storage.maintenance import convert
    from popspark.storage.writing import claim

    with claim([config.table], config.run_id):
        table, n_rows = convert(config.table)
    print(f"{config.table} is the Delta table {table.name} now, of {n_rows:,} rows")
