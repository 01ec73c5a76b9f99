"""What a job says while it runs: lines on stderr through the standard logging, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from popspark.runtime.redaction import redact

LogFormat = Literal["text", "json"]


class _Text(logging.Formatter):
    """`[  12.3 s] session` for a stage that ended; other lines with their level."""

    def format(self, record: logging.LogRecord) -> str:
        elapsed = getattr(record, "elapsed_s", None)
        start = f"[{elapsed:6.1f} s]" if elapsed is not None else f"{record.levelname}:"
        return redact(f"{start} {super().format(record)}")


class _Json(logging.Formatter):
    """One object a line: time, level, job, run_id, logger, message, and what the line measured."""

    def __init__(self, job: str, run_id: str) -> None:
        super().__init__()
        self._run = {"job": job, "run_id": run_id}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._run,
            "logger": record.name,
            "message": redact(super().format(record)),  # with the traceback, where there is one
        }
        for name in ("stage", "seconds", "elapsed_s", "exit_code"):
            if hasattr(record, name):
                line[name] = getattr(record, name)
        return json.dumps(line)


def start_logging(form: LogFormat, job: str, run_id: str) -> None:
    """Sends popspark's lines from `info` on, and everybody's from `warning` on, to stderr."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Json(job, run_id) if form == "json" else _Text())
    logging.basicConfig(level=logging.WARNING, handlers=[stream], force=True)
    logging.getLogger("popspark").setLevel(logging.INFO)
