"""How a job runs: its settings checked, its lines logged, its end as one exit code."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TypeVar

from popspark.runtime.config import JobConfig, find_conf, load_config
from popspark.runtime.errors import fault_of
from popspark.runtime.logs import start_logging
from popspark.runtime.redaction import Redacted, redact

C = TypeVar("C", bound=JobConfig)
LOG = logging.getLogger(__name__)


def run_job(
    name: str,
    model: type[C],
    main: Callable[[C], None],
    settings: Sequence[str] = (),
    preset: str | None = None,
    env: str | None = None,
) -> int:
    """Calls `main` with the settings of job `name` (`score_posts`) and returns the exit code.

    0 when done, the error's own for a `PopsparkError`, also of a worker of Spark's (its message on stderr), and 1 with
    a traceback for anything nobody foresaw. When told to end (SIGTERM, Ctrl-C) the process leaves with 143 or 130,
    after locks are given back. `popspark.runtime.errors` has the table of codes. preset, env: as `--config` and
    `--env` give them.
    """
    # Of every call, where pandas 3 is installed; `make test-matrix` runs the tests of scoring with both.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    is_json = False
    try:
        config = load_config(
            model,
            settings,
            find_conf(preset, folder=name) if preset else None,
            find_conf(env, folder="env") if env else None,
        )
        is_json = config.env.log_format == "json"
        start_logging(config.env.log_format, name, config.run_id)
        with redirect_stdout(Redacted(sys.stdout)):
            main(config)
    except Exception as error:
        if fault := fault_of(error):
            message = f"{name}: {type(fault).__name__}: {fault}"
            if is_json:
                LOG.error(message, extra={"exit_code": fault.exit_code})
            else:
                print(message, file=sys.stderr)
            return fault.exit_code
        if is_json:
            LOG.exception("%s ended in a way that nobody foresaw", name, extra={"exit_code": 1})
        else:
            print(redact(traceback.format_exc()), end="", file=sys.stderr)
        return 1
    return 0
