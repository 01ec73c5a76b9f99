"""What scores were made from, as their commit says: where nothing of it has moved, a night ends after reading logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import popspark
from popspark.storage.delta import locate_folder, open_log, read_version
from popspark.storage.warehouse import CATALOG

NAME = "made_from"
"""Of the note in the commit."""


def digest_inputs(inputs: Mapping[str, str], snapshots: Mapping[str, str], settings: Mapping[str, Any]) -> str | None:
    """16 hex digits of the inputs' paths and snapshots, the settings and this popspark.

    None where an input has no snapshot, as a table by name has none.
    """
    if set(inputs) != set(snapshots):
        return None
    parts = (dict(inputs), dict(snapshots), dict(settings), popspark.__version__)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def count_current(scores: str, made_from: str | None) -> int | None:
    """The rows of a table by path whose newest commit was made from the same; None where it may not be current.

    A restore or a compaction says nothing of inputs, so that the night after it compares everything.
    """
    if made_from is None or scores.startswith(CATALOG):
        return None
    version = read_version(scores)
    if version is None or open_log(locate_folder(scores)).history(1)[0].get(NAME) != made_from:
        return None
    return sum(file.n_rows for file in version.files)
