"""The record of a run: a row of the runs table and the same as JSON for a scheduler, whatever the run's end.

A run's row is written when the run begins to read (`running`) and again, in its place, when it ends. Settings that
cannot be used, as found before that, are no run: nothing is recorded. A run that was killed stays `running` until the
next run of the same table finds its lock and says `killed`.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any

import pyarrow as pa

import popspark
from popspark.runtime.config import ScheduledConfig
from popspark.runtime.errors import ConfigError, PopsparkError, SchemaError, fault_of
from popspark.runtime.files import write_whole
from popspark.runtime.redaction import redact
from popspark.runtime.stages import Stages
from popspark.storage.arrow import read_arrow, write_row
from popspark.storage.delta import is_delta, locate_folder
from popspark.storage.snapshots import snapshot
from popspark.storage.tables import RUNS

LOG = logging.getLogger(__name__)
PACKAGES = ("pyspark", "pyarrow", "numpy", "pandas", "torch", "opencv-python-headless", "pillow")

SCHEMA = RUNS.arrow_schema


def installed_versions() -> dict[str, str]:
    """Of popspark, Python and the packages that a score depends on; what is not installed is left out."""
    found = {"popspark": popspark.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # such as the headless OpenCV under another name
            continue
    return found


class Run:
    """Used as a `with` block around a job. What the job learns goes into the attributes as it goes on.

    inputs: the tables read, by name; `read_from` also takes their snapshots. input_rows: their rows. counts: of rows by
    what became of them.
    """

    def __init__(self, job: str, config: ScheduledConfig) -> None:
        self.run_id, self.job = config.run_id, job
        self._runs, self._metrics = config.runs, config.metrics
        self._started_at, self._start = datetime.now(UTC), time.perf_counter()
        self.stages = Stages()
        self.model_name: str | None = None
        self.model_version: str | None = None
        self.inputs: dict[str, str] = {}
        self.snapshots: dict[str, str] = {}
        self.input_rows: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.versions = installed_versions()
        self._has_begun = False

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            row = self._row("succeeded", 0)
        else:
            told = fault_of(error) or error
            code = told.exit_code if isinstance(told, PopsparkError) else 1
            code = told.code if isinstance(told, SystemExit) and isinstance(told.code, int) else code
            if isinstance(told, ConfigError) and not self._has_begun:
                return
            row = self._row("failed", code, redact(f"{type(told).__name__}: {told}")[:4000])
        try:
            self._write(row)
        except OSError:  # a full disk ends the run with the error that it had
            LOG.exception("the record of run %s cannot be written", self.run_id)
            if error is None:
                raise

    def read_from(self, inputs: Mapping[str, str | None]) -> None:
        """Notes what is read, by name, and that the run has begun; what is null is not read."""
        self.inputs = {name: path for name, path in inputs.items() if path}
        self.snapshots = {name: found for name, path in self.inputs.items() if (found := snapshot(path))}
        self._has_begun = True
        self._write(self._row("running"))

    def mark_killed(self, holders: Iterable[Mapping[str, Any]]) -> None:
        """The runs whose stale locks were broken get outcome `killed`, if they are in the table as `running`."""
        dead = {str(holder.get("run_id")) for holder in holders}
        for row in read_runs(self._runs) if dead and self._runs else ():
            if row["run_id"] in dead and row["outcome"] == "running":
                self._write_row({**row, "outcome": "killed"})

    def _row(self, outcome: str, exit_code: int | None = None, error: str | None = None) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "job": self.job,
            "outcome": outcome,
            "started_at": self._started_at,
            "seconds": round(time.perf_counter() - self._start, 3),
            "exit_code": exit_code,
            "error": error,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "inputs": {name: redact(path) for name, path in self.inputs.items()},
            "snapshots": self.snapshots,
            "input_rows": self.input_rows,
            "counts": self.counts,
            "stage_seconds": {name: round(seconds, 3) for name, seconds in self.stages.seconds.items()},
            "versions": self.versions,
        }

    def _write(self, row: dict[str, Any]) -> None:
        if self._metrics and row["outcome"] != "running":
            write_whole(self._metrics, json.dumps(row, indent=1, default=datetime.isoformat).encode() + b"\n")
        self._write_row(row)

    def _write_row(self, row: Mapping[str, Any]) -> None:
        if self._runs is None:
            return
        values = {name: list(row[name].items()) if isinstance(row[name], dict) else row[name] for name in SCHEMA.names}
        write_row(
            self._runs, pa.Table.from_pylist([values], SCHEMA), json.dumps(RUNS.schema.jsonValue()), RUNS.name, "run_id"
        )


def read_runs(path: str) -> list[dict[str, Any]]:
    """The rows of a runs table, the newest first; none where there is none yet."""
    if not is_delta(locate_folder(path)):
        return []
    try:
        rows = read_arrow(path, SCHEMA.names).to_pylist()
    except (KeyError, OSError, pa.ArrowException) as error:
        raise SchemaError("This is no table of runs, or its files are damaged.", where=path, got=str(error)) from error
    return sorted(rows, key=lambda row: row["started_at"], reverse=True)
