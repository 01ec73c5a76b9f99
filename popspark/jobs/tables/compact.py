"""Brings the small files of a table together, and deletes those that no version needs any more. No Spark.

    popspark compact table=warehouse/scores
    popspark compact table=warehouse/scores vacuum=true

Reads: a Delta table.
Writes: the table, by one commit that changes no row.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """A table."""

    table: str
    """The folder of a Delta table."""
    vacuum: bool = False
    """Whether files that no version of the last seven days names are deleted, so that older ones cannot be restored.
    Every file below the folder counts, but for names that begin with _ or a point."""


def main(config: Config) -> None:
    from popspark.storage.maintenance import compact
    from popspark.storage.writing import claim

    with claim([config.table], config.run_id):
        counts = compact(config.table, config.vacuum)
    print(f"{config.table}: {counts['removed']:,} files became {counts['added']:,}; deleted {counts['deleted']:,}")
