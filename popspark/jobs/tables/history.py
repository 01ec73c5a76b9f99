"""Prints the commits of a table, the newest first: when, by which run, and what was done. No Spark.

    popspark history table=warehouse/scores

Reads: the log of a Delta table.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """A table."""

    table: str
    """The folder of a Delta table."""
    n_commits: int | None = 20
    """How many, at most; null: all that the log has."""


def main(config: Config) -> None:
    from popspark.storage.maintenance import read_history

    lines = read_history(config.table, config.n_commits)
    print(f"{'version':>8}  {'committed at (UTC)':<20}{'operation':<14}run")
    for line in lines:
        committed_at = line.committed_at.strftime("%Y-%m-%d %H:%M:%S")
        print(f"{line.version:>8}  {committed_at:<20}{line.operation:<14}{line.run_id or ''}")
