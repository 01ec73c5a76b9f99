"""Scores, and the runs that write them."""

from __future__ import annotations

from pyspark.sql import types as t

from popspark.storage.schemas.table import DOUBLE, INT, LONG, STRING, TEXT_BY_NAME, TIMESTAMP, Table

SCORES = Table(
    "scores",
    {
        "post_id": STRING,
        "score": DOUBLE,
        "percentile": DOUBLE,
        "model_name": STRING,
        "model_version": STRING,
        "status": STRING,
        "error": STRING,
        "scored_at": TIMESTAMP,  # of a refused post: when it was first refused with this input
        "input_hash": LONG,  # of all that the score was made from
        "run_id": STRING,  # of the run that scored it
        "posted_month": STRING,  # "2015-03"; "unknown" without posted_at
    },
    key=("post_id",),
    required=("model_name", "model_version", "status", "scored_at", "input_hash", "run_id", "posted_month"),
    partitioned_by=("posted_month",),
)

RUNS = Table(
    "runs",  # one row a run, written by popspark.storage.runs
    {
        "run_id": STRING,
        "job": STRING,
        "outcome": STRING,  # running, succeeded, failed, killed
        "started_at": TIMESTAMP,
        "seconds": DOUBLE,
        "exit_code": INT,
        "error": STRING,
        "model_name": STRING,
        "model_version": STRING,
        "inputs": TEXT_BY_NAME,  # the tables read, by name
        "snapshots": TEXT_BY_NAME,  # of those in folders: a digest of their files' names, sizes and times
        "input_rows": t.MapType(STRING, LONG),
        "counts": t.MapType(STRING, LONG),  # rows by what became of them
        "stage_seconds": t.MapType(STRING, DOUBLE),
        "versions": TEXT_BY_NAME,
    },
    key=("job", "run_id"),
    required=("outcome", "started_at", "seconds"),
)
