"""A folder of examples as training meets it: a folder of Parquet files for each split."""

from __future__ import annotations

import hashlib
from pathlib import Path

from popspark.runtime.config import Section
from popspark.runtime.errors import TrainingError
from popspark.storage.examples import SPLITS
from popspark.training.feed import count_rows


def count_splits(examples: Path) -> dict[str, int]:
    """Rows by split; raises `TrainingError` where a split has none."""
    n_rows = {}
    for split in SPLITS:
        folder = examples / f"split={split}"
        n_rows[split] = count_rows(folder) if folder.is_dir() else 0
        if not n_rows[split]:
            raise TrainingError("A split has no rows.", where=str(folder), legal=f"rows in each of {', '.join(SPLITS)}")
    return n_rows


def fingerprint(examples: Path, settings: Section) -> str:
    """12 hex digits that change with the settings and with the files of the examples, by name, size and time."""
    files = sorted(examples.rglob("*.parquet"))
    facts = [(str(f.relative_to(examples)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(f"{settings.model_dump_json()} {facts}".encode()).hexdigest()[:12]
