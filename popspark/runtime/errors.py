"""Every exception popspark raises on purpose: one base, one subclass per kind of fault.

A bad row never raises: it becomes a row with a status. What stands here is a bad configuration, a missing
file or device, or a table that is not what it must be.

Exit codes follow sysexits.h, so that a scheduler can tell a typo from a fault that a retry may cure:

| code | what | a retry |
|---|---|---|
| 0 | done | |
| 1 | nobody foresaw it: a traceback; Spark gave up, a full disk | may help |
| 2 | the command line | no |
| 65 | the data, a table, a bundle, weights: not what they must be | no |
| 66 | a path or weights that do not exist, or lie outside their root | once they are there |
| 69 | the device asked for is not there | elsewhere |
| 75 | another run holds the table | yes |
| 78 | the configuration | no |
| 79 | more rows refused than `max_refused_share` | after a look at the reasons |
| 130, 143 | ended by Ctrl-C, by SIGTERM | yes |

After a code other than 0, `scores` is the old table or, where only the report failed, the new one; extract-features
and fetch-images keep what they had added. A table that a job writes anew (posts, rejects, images, examples, pairs, ...)
must be written again. Messages are without secrets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from popspark.runtime.redaction import redact


class PopsparkError(Exception):
    """Base of all: says what was wrong, where, the value got, the legal values and the fix.

    Only `what` is required; each of the other parts gets a line of its own when given.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, got: object = None, legal: object = None, fix: str | None = None
    ) -> None:
        details = {"where": where, "got": got, "legal": legal, "fix": fix}
        lines = [what, *(f"  {name}: {value}" for name, value in details.items() if value is not None)]
        super().__init__(redact("\n".join(lines)))


class ConfigError(PopsparkError):
    """Raised when a config file, an override or a parameter is unknown, missing or of an illegal value."""

    exit_code = 78


class PathError(PopsparkError):
    """Raised when a path that must exist does not, or lies outside the configured roots."""

    exit_code = 66


class SchemaError(PopsparkError):
    """Raised when a table's columns, types or nullability differ from its declaration in `popspark.storage.tables`."""

    exit_code = 65


class DataError(PopsparkError):
    """Raised when nothing of the data given can be used; nothing was published."""

    exit_code = 65


class AccountingError(PopsparkError):
    """Raised when rows in and rows out of a step do not add up; nothing was published."""

    exit_code = 65


class RefusalError(PopsparkError):
    """Raised when a larger share of the rows was refused than the configuration allows; nothing was published."""

    exit_code = 79  # the first that sysexits.h does not use: the data need a person, the job ran as it should


class LockError(PopsparkError):
    """Raised when another run holds the table for longer than this one may wait, or took it over."""

    exit_code = 75


class LeakError(PopsparkError):
    """Raised when what a model is tested on could be known from what it was fitted on."""

    exit_code = 65


class WeightsError(PopsparkError):
    """Raised when the pretrained weights that were asked for are missing, or another file is in their place."""

    exit_code = 66


class UnfitWeightsError(WeightsError):
    """Raised when weights are broken, or of another network."""

    exit_code = 65


class BundleError(PopsparkError):
    """Raised when a bundle is incomplete, altered, or made for other features than those at hand."""

    exit_code = 65


class DeviceError(PopsparkError):
    """Raised when the device asked for is not there."""

    exit_code = 69


class TrainingError(PopsparkError):
    """Raised when a model cannot be fitted on the data given, or the feed lost rows."""

    exit_code = 65


_OF_A_WORKER = re.compile(
    r"^popspark\.runtime\.errors\.(\w+): (.*?)\s*(?=^\s*at [\w.$/]+\(|^Driver stacktrace:|\Z)", re.M | re.S
)
"""The last lines of a worker's traceback, with or without Java's behind them."""


def fault_of(error: BaseException | None) -> PopsparkError | None:
    """What was raised on purpose: the error itself, or the one that a Python worker of Spark's raised, which arrives as
    the text of its traceback, on classic sessions and on Connect; None for anything that nobody foresaw.
    """
    if isinstance(error, PopsparkError):
        return error
    if error is None or type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
        return None
    raised = [*_OF_A_WORKER.finditer(str(error))]
    if not raised or "Traceback (most recent call last)" in raised[-1][2]:  # after which something else went wrong
        return None
    kind = globals().get(raised[-1][1])
    if not (isinstance(kind, type) and issubclass(kind, PopsparkError)):
        return None
    found: PopsparkError = kind(raised[-1][2])
    return found


def closest(name: str, legal: Iterable[str]) -> str:
    """A hint for a misspelt `name`: `Did you mean 'x'?`, or an empty string where nothing is near."""
    near = difflib.get_close_matches(name, list(legal), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def unknown(what: str, got: str, legal: Iterable[str], where: str | None = None) -> ConfigError:
    """The error of a name that is none of the legal ones: `Unknown <what>.`, with the nearest of them as a hint."""
    names = list(legal)
    return ConfigError(
        f"Unknown {what}.", where=where, got=repr(got), legal=", ".join(names), fix=closest(got, names) or None
    )
