"""The command line that every job shares: `JOB.py [--env ENV] [--config FILE] [key=value ...]`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from popspark.runtime.config import JobConfig, load_config
from popspark.runtime.errors import PopsparkError
from popspark.runtime.logs import start_logging
from popspark.runtime.redaction import redact

C = TypeVar("C", bound=JobConfig)
LOG = logging.getLogger(__name__)


def run(script: str, doc: str | None, model: type[C], main: Callable[[C], None]) -> None:
    """Parses the command line, loads the config of the job in file `script` and calls `main`; ends the process.

    The job's own config is conf/<stem of script>.yaml in the folder beside that of the script.

    Exit code 0 when done, 2 for an unusable command line, the error's own for a `PopsparkError` (its message on
    stderr), 1 with a traceback for anything nobody foresaw, and 143 when told to end (SIGTERM), after locks are given
    back. `popspark.runtime.errors` has the table of codes.
    """
    name, conf = Path(script).stem, Path(script).resolve().parent.parent / "conf"
    parser = argparse.ArgumentParser(name, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="local", help="conf/env/ENV.yaml, or a path to such a file (%(default)s)")
    parser.add_argument("--config", help=f"instead of conf/{name}.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override one setting")
    args = parser.parse_intermixed_args()  # settings may stand before and after the options
    env_file = Path(args.env) if args.env.endswith(".yaml") else conf / "env" / f"{args.env}.yaml"
    job_file = Path(args.config) if args.config else conf / f"{name}.yaml"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    is_json = False
    try:
        config = load_config(model, job_file, env_file, args.overrides)
        is_json = config.env.log_format == "json"
        start_logging(config.env.log_format, name, config.run_id)
        main(config)
    except PopsparkError as error:
        message = f"{name}: {type(error).__name__}: {error}"
        if is_json:
            LOG.error(message, extra={"exit_code": error.exit_code})
        else:
            print(message, file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception:
        if is_json:
            LOG.exception("%s ended in a way that nobody foresaw", name, extra={"exit_code": 1})
        else:
            print(redact(traceback.format_exc()), end="", file=sys.stderr)
        sys.exit(1)
