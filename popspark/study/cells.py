"""The data of the study: examples of one split strategy and feature mode each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popspark.storage.examples import ExamplesRecord


@dataclass(frozen=True)
class Cell:
    """Data of one split strategy and feature mode. key: changes with the examples. refused: why there are none."""

    strategy: str
    mode: str
    key: str = ""
    examples: Path = Path()
    record: ExamplesRecord | None = None
    refused: str | None = None

    @property
    def name(self) -> str:
        return f"{self.strategy}-{self.mode}"


def key_of(*facts: Any) -> str:
    """16 hex digits that change with any of the facts (JSON values)."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]
