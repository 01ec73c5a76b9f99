"""What both sides of the examples tables agree on: the splits, and the record of how they were made.

Spark writes the tables and training reads them, so this file knows neither Spark nor torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from popspark.runtime.config import Section
from popspark.runtime.errors import PathError

SPLITS = ("train", "valid", "test")


class _Record(Section):
    """JSON beside a table: <table>.json."""

    rows_are: ClassVar[str]
    """What the table holds, for the message where there is none."""
    job: ClassVar[str]
    """The command of popspark that writes it."""

    @classmethod
    def path_beside(cls, table: str | Path) -> Path:
        return Path(f"{str(table).rstrip('/')}.json")

    @classmethod
    def load(cls, table: str | Path) -> Self:
        """The record beside `table`; raises `PathError` where there is none."""
        path = cls.path_beside(table)
        if not path.is_file():
            raise PathError(f"There are no {cls.rows_are}.", where=str(path), fix=f"run popspark {cls.job} first")
        return cls.model_validate(json.loads(path.read_text("utf-8")))

    def save(self, table: str | Path) -> None:
        self.path_beside(table).write_text(json.dumps(self.model_dump(mode="json"), indent=1) + "\n", "utf-8")


class FamilyRecord(Section):
    """A feature family whose values stand in `visual`."""

    name: str
    version: str
    dim: int
    """Values an image."""
    weights: str | None
    """Where its weights came from and their sha256; null for a family without."""


class SocialRecord(Section):
    """The social values of the examples."""

    mode: str
    """paper or point_in_time."""
    names: tuple[str, ...]
    """In their order in `social`."""


class LabelRecord(Section):
    """The rule that gave the labels."""

    rule: str
    options: dict[str, Any]


class SplitRecord(Section):
    """How posts came into their splits."""

    strategy: str
    seed: int
    group_by: str | None


class SplitCounts(Section):
    """One split of the examples."""

    posts: int
    images: int
    """Different ones."""
    mean_label: float


class ExamplesRecord(_Record):
    """What a model trained on examples must know of how they were made; it becomes a part of the bundle's manifest.

    Records of earlier versions lack the fields that have a default.
    """

    rows_are = "examples"
    job = "build-examples"

    features: tuple[FamilyRecord, ...]
    """The families in the order in which their values stand in `visual`."""
    feature_settings: dict[str, Any] = {}
    """The settings that the features were extracted with."""
    social: SocialRecord
    label: LabelRecord
    split: SplitRecord
    is_simulated: bool
    """Whether any post's counts are simulated."""
    rows: dict[str, int]
    """Posts by what became of them: ok, or why they cannot be learned from."""
    labels: dict[str, int] = {}
    """Posts by the status of their label."""
    splits: dict[str, SplitCounts] = {}
    unknown_inputs: dict[str, int] = {}
    """Posts that lack an input of the social values, by that input."""


class PairExamplesRecord(_Record):
    """What a ranker must know of how its pair examples were made."""

    rows_are = "pair examples"
    job = "build-pair-examples"

    is_simulated: bool
    """Whether any post's counts are simulated."""
    decoder: str
    """The version of the rules that images are decoded by."""
    pairs: dict[str, int]
    """Pairs by what became of them: ok, or why one was left out."""
    limits: dict[str, int]
    """Pairs that each split keeps, about."""
    seed: int
    """Of every draw."""
    audit: tuple[dict[str, Any], ...]
    """Rows of pair_audit, in order: what each rule found, removed and left."""
