"""What both sides of the examples tables agree on: the splits, and the record of how they were made.

Spark writes the tables and training reads them, so this file knows neither Spark nor torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from fsspec.core import url_to_fs
from pydantic import ValidationError

from popspark.runtime.config import Section
from popspark.runtime.errors import DataError, PathError
from popspark.runtime.files import write_whole

SPLITS = ("train", "valid", "test")


class _Record(Section):
    """JSON beside a table: <table>.json."""

    rows_are: ClassVar[str]
    """What the table holds, for the message where there is none."""
    job: ClassVar[str]
    """The command of popspark that writes it."""

    @classmethod
    def path_beside(cls, table: str | Path) -> str:
        return f"{str(table).rstrip('/')}.json"

    @classmethod
    def load(cls, table: str | Path) -> Self:
        """The record beside `table`; raises `PathError` where there is none, `DataError` where it is no such record."""
        fs, path = url_to_fs(cls.path_beside(table))
        if not fs.isfile(path):
            raise PathError(f"There are no {cls.rows_are}.", where=path, fix=f"run popspark {cls.job} first")
        try:
            return cls.model_validate_json(fs.cat_file(path))
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(
                f"The record of the {cls.rows_are} is damaged, or another version of popspark wrote it.",
                where=path,
                got=f"{'.'.join(map(str, first['loc'])) or 'no JSON'}: {first['msg']}"[:300],
                fix=f"run popspark {cls.job} again",
            ) from error

    @classmethod
    def delete(cls, table: str | Path) -> None:
        """Before `table` is written anew: a killed write then leaves no record."""
        fs, path = url_to_fs(cls.path_beside(table))
        if fs.exists(path):
            fs.rm_file(path)

    def save(self, table: str | Path) -> None:
        """Whole, so that a record says that its table is whole, too."""
        write_whole(self.path_beside(table), (self.model_dump_json(indent=1) + "\n").encode())


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
