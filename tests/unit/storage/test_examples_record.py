"""The record beside an examples table: as it was written, and a message where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from popspark.runtime.errors import DataError, PathError
from popspark.storage.examples import ExamplesRecord, PairExamplesRecord
from popspark.storage.social_values import SOCIAL_GROUPS, SOCIAL_NAMES
from tests.made_examples import made_record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = made_record()
    record.save(f"{tmp_path}/examples/")
    assert ExamplesRecord.load(tmp_path / "examples") == record
    written = json.loads((tmp_path / "examples.json").read_text())
    assert written["features"][0] == {"name": "color", "version": "1", "dim": 32, "weights": None}
    assert written["splits"]["test"] == {"posts": 80, "images": 40, "mean_label": 6.5}


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    values = made_record().model_dump(mode="json", exclude={"feature_settings", "labels", "splits", "unknown_inputs"})
    (tmp_path / "examples.json").write_text(json.dumps(values))
    assert ExamplesRecord.load(tmp_path / "examples").rows == {"ok": 0}


def test_a_killed_write_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("popspark.runtime.files.replace_file", full)
    with pytest.raises(OSError, match="No space"):
        made_record().save(tmp_path / "examples")
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_away_while_its_table_is_written_anew(tmp_path: Path) -> None:
    ExamplesRecord.delete(tmp_path / "examples")
    made_record().save(tmp_path / "examples")
    ExamplesRecord.delete(tmp_path / "examples")
    assert list(tmp_path.iterdir()) == []


def test_a_record_stands_beside_its_table_wherever_that_is() -> None:
    made_record().save("memory://lake/examples")
    assert ExamplesRecord.load("memory://lake/examples") == made_record()


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ('{"features": [', "no JSON: Invalid JSON: EOF while parsing a list at line 1 column 14"),
        ("{}", "features: Field required"),
        (made_record().model_dump_json().replace('"seed":', '"sead":'), "split.seed: Field required"),
    ],
)
def test_a_damaged_record_is_told_as_such(text: str, got: str, tmp_path: Path) -> None:
    path = tmp_path / "examples.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError) as raised:
        ExamplesRecord.load(tmp_path / "examples")
    assert str(raised.value) == (
        f"The record of the examples is damaged, or another version of popspark wrote it.\n  where: {path}\n"
        f"  got: {got}\n  fix: run popspark build-examples again"
    )


@pytest.mark.parametrize(
    ("kind", "rows_are", "job"),
    [(ExamplesRecord, "examples", "build-examples"), (PairExamplesRecord, "pair examples", "build-pair-examples")],
)
def test_without_a_record_there_are_no_examples(
    kind: type[ExamplesRecord | PairExamplesRecord], rows_are: str, job: str, tmp_path: Path
) -> None:
    with pytest.raises(PathError) as raised:
        kind.load(tmp_path / "t")
    where = tmp_path / "t.json"
    assert str(raised.value) == f"There are no {rows_are}.\n  where: {where}\n  fix: run popspark {job} first"


def test_the_social_groups_are_the_paper_s() -> None:
    assert [len(names) for names in SOCIAL_GROUPS.values()] == [5, 5, 24]
    assert len(set(SOCIAL_NAMES)) == 34
