"""Prints what the last runs did: when, how they ended, what was counted and what went wrong. No Spark.

    popspark runs
    popspark runs job=score_posts n_runs=1

Reads: runs.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """The runs table."""

    runs: str = "${env.warehouse}/runs"
    """The table that scheduled jobs write."""
    job: str | None = None
    """Of one job only, such as score_posts."""
    n_runs: int = 10
    """How many, at most, the newest first."""


def main(config: Config) -> None:
    from popspark.storage.runs import read_runs

    for run in [run for run in read_runs(config.runs) if config.job in (None, run["job"])][: config.n_runs]:
        started_at = run["started_at"].strftime("%Y-%m-%d %H:%M:%S")
        print(f"{started_at}  {run['job']:<18}{run['outcome']:<11}{run['seconds']:>9.1f} s  {run['run_id']}")
        for title in ("inputs", "snapshots", "input_rows", "counts", "stage_seconds"):
            if run[title]:
                print(f"    {title:<15}{', '.join(f'{name} {value}' for name, value in run[title])}")
        if run["error"]:
            print(f"    error          {run['error'].splitlines()[0]}")
