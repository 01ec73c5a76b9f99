"""A table of examples as training meets it: the files of one version, by split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from popspark.runtime.config import Section
from popspark.runtime.errors import PathError, TrainingError
from popspark.storage.delta import is_begun, read_version
from popspark.storage.examples import SPLITS
from popspark.training.feed import count_rows


@dataclass(frozen=True)
class ExampleFiles:
    """What is read, however the table changes meanwhile. path: the table's, for people. by_split: its Parquet files."""

    path: Path
    by_split: dict[str, list[Path]]
    n_rows: dict[str, int]

    @property
    def all(self) -> list[Path]:
        """The files of all splits."""
        return [file for files in self.by_split.values() for file in files]

    def fingerprint(self, settings: Section) -> str:
        """12 hex digits that change with the settings and with the files, by name, size and time."""
        facts = [(str(f.relative_to(self.path)), f.stat().st_size, f.stat().st_mtime_ns) for f in self.all]
        return hashlib.sha256(f"{settings.model_dump_json()} {facts}".encode()).hexdigest()[:12]


def find_examples(path: Path) -> ExampleFiles:
    """The newest version of a table, or a folder of Parquet with a folder for each split.

    Raises `TrainingError` where a split has no rows.
    """
    version = read_version(str(path))
    if version is None and is_begun(str(path)):
        raise PathError("These examples are not written yet.", where=str(path), fix="build them again")
    by_split, n_rows = {}, {}
    for split in SPLITS:
        folder = path / f"split={split}"
        by_split[split] = (
            [Path(file) for file in version.paths(split=split)] if version else sorted(folder.glob("*.parquet"))
        )
        n_rows[split] = count_rows(by_split[split])
        if not n_rows[split]:
            raise TrainingError("A split has no rows.", where=str(folder), legal=f"rows in each of {', '.join(SPLITS)}")
    return ExampleFiles(path.resolve() if version else path, by_split, n_rows)
