"""The record of a run: a row of the runs table and the same as JSON for a scheduler, whatever the run's end.

Each run has a file of its own in the table's folder, written when the run starts (`running`) and again when it ends.
Settings that cannot be used, as found before a run's first stage was done, are no run: nothing is recorded.
A run that was killed stays `running` until the next run of the same table finds its lock and says `killed`.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

import popspark
from popspark.runtime.config import ScheduledConfig
from popspark.runtime.errors import ConfigError, PopsparkError, fault_of
from popspark.runtime.redaction import redact
from popspark.runtime.stages import Stages
from popspark.storage.places import snapshot
from popspark.storage.publishing import write_whole
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

    def __enter__(self) -> Run:
        self._write(self._row("running"))
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
            if isinstance(told, ConfigError) and not self.stages.seconds:
                self._forget()
                return
            row = self._row("failed", code, redact(f"{type(told).__name__}: {told}")[:4000])
        try:
            self._write(row)
        except OSError:  # a full disk ends the run with the error that it had
            LOG.exception("the record of run %s cannot be written", self.run_id)
            if error is None:
                raise

    def read_from(self, inputs: Mapping[str, str | None]) -> None:
        """Notes what is read, by name: what is null is not."""
        self.inputs = {name: path for name, path in inputs.items() if path}
        self.snapshots = {name: found for name, path in self.inputs.items() if (found := snapshot(path))}

    def mark_killed(self, holder: Mapping[str, Any] | None) -> None:
        """The run whose stale lock was broken gets outcome `killed`, if it is in the table as `running`."""
        if holder is None or self._runs is None or "/" in str(holder.get("run_id")):
            return
        fs, folder = url_to_fs(self._runs)
        path = f"{folder}/{self.job}-{holder.get('run_id')}.parquet"
        if not fs.exists(path):
            return
        with fs.open(path) as stream:
            row = pq.read_table(stream, schema=SCHEMA).to_pylist()[0]
        if row["outcome"] == "running":
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

    def _forget(self) -> None:
        if self._runs is not None:
            fs, folder = url_to_fs(self._runs)
            with suppress(OSError):
                fs.rm_file(f"{folder}/{self.job}-{self.run_id}.parquet")

    def _write_row(self, row: Mapping[str, Any]) -> None:
        if self._runs is None:
            return
        values = {name: list(row[name].items()) if isinstance(row[name], dict) else row[name] for name in SCHEMA.names}
        stream = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([values], SCHEMA), stream)
        write_whole(f"{self._runs.rstrip('/')}/{row['job']}-{row['run_id']}.parquet", stream.getvalue().to_pybytes())
