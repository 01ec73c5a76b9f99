"""Slices replaced as one act: cut off after any step, the folder is the old table or the new one."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from popspark.runtime.errors import LockError, SchemaError
from popspark.storage.locking import TableLock
from popspark.storage.publishing import list_slices, publish, recover, settle, staging_folder

OLD = {"posted_month=2015-01/part-00000.parquet": "a", "posted_month=2015-02/part-00000.parquet": "b"}
NEW = {"posted_month=2015-02/part-00000.parquet": "B", "posted_month=2015-03/part-00000.parquet": "c"}
REMOVED = ["posted_month=2015-01"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def table(folder: Path) -> dict[str, str]:
    """What Spark sees: nothing below a name that begins with `_`."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in found.items() if not name.startswith("_")}


def stage(folder: Path, run_id: str = "r1", files: dict[str, str] = NEW) -> str:
    staged = staging_folder(str(folder), run_id)
    write(Path(staged), {name.replace("part-00000", "part-00003-c000.snappy"): text for name, text in files.items()})
    (Path(staged) / "posted_month=2015-02" / ".part.parquet.crc").write_text("crc")
    return staged


def kill_after(monkeypatch: pytest.MonkeyPatch, n_steps: int) -> None:
    """The process dies instead of changing the disk once more than `n_steps` times."""
    steps = iter(range(n_steps))

    def dying(method: Any) -> Any:
        def change(*args: Any, **kwargs: Any) -> Any:
            if next(steps, None) is None:
                raise Killed
            return method(*args, **kwargs)

        return change

    for name in ("mv", "rm", "rm_file", "pipe_file", "makedirs"):
        monkeypatch.setattr(LocalFileSystem, name, dying(getattr(LocalFileSystem, name)))


def begin(folder: Path) -> tuple[str, TableLock]:
    """The old table, what is to take its place, and the lock, held as a killed run holds it."""
    write(folder, OLD)
    staged = stage(folder)
    lock = TableLock(str(folder), "r1", 0)
    lock.__enter__()
    return staged, lock


def test_slices_are_replaced_added_and_removed(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    with TableLock(str(tmp_path), "r1", 0) as lock:
        publish(str(tmp_path), stage(tmp_path), "r1", REMOVED, lock)
    assert table(tmp_path) == NEW
    assert list_slices(str(tmp_path)) == ["posted_month=2015-02", "posted_month=2015-03"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["posted_month=2015-02", "posted_month=2015-03"]


@pytest.mark.parametrize("n_steps", range(24))
def test_a_kill_at_any_step_leaves_the_old_table_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    staged, lock = begin(tmp_path)
    with monkeypatch.context() as patch:
        kill_after(patch, n_steps)
        try:
            publish(str(tmp_path), staged, "r1", REMOVED, lock)
        except Killed:
            is_killed = True
        else:
            is_killed = False
    has_journal = any(path.name.startswith("_publish-") for path in tmp_path.iterdir())
    lock.__exit__(None, None, None)
    settle(str(tmp_path))
    assert table(tmp_path) in ([NEW] if has_journal or not is_killed else [OLD, NEW])
    with TableLock(str(tmp_path), "r2", 0):
        recover(str(tmp_path))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("_staging", "_publish", "_writing"))]
    assert (n_steps < 3) <= (table(tmp_path) == OLD)
    assert (n_steps > 20) <= (not is_killed)


@pytest.mark.parametrize("n_steps", range(12))
def test_a_kill_while_a_reader_ends_what_a_killed_run_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    staged, lock = begin(tmp_path)
    attempts = (lambda: publish(str(tmp_path), staged, "r1", REMOVED, lock), lambda: recover(str(tmp_path)))
    for attempt, steps in zip(attempts, (5, n_steps), strict=True):
        with monkeypatch.context() as patch, suppress(Killed):
            kill_after(patch, steps)
            attempt()
    lock.__exit__(None, None, None)
    settle(str(tmp_path))
    assert table(tmp_path) == NEW


def test_staging_without_a_journal_is_thrown_away(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    staged = stage(tmp_path)
    settle(str(tmp_path))
    assert Path(staged).is_dir(), "a reader leaves the work of a run in progress alone"
    recover(str(tmp_path))
    assert not Path(staged).exists()
    assert table(tmp_path) == OLD


def test_a_run_that_lost_its_lock_publishes_nothing(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    with TableLock(str(tmp_path), "r1", 0) as lock:
        (tmp_path / "_lock").unlink()
        with pytest.raises(LockError, match="was taken over"):
            publish(str(tmp_path), stage(tmp_path), "r1", REMOVED, lock)
    assert table(tmp_path) == OLD


def test_a_slice_of_several_files_and_one_of_another_layout(tmp_path: Path) -> None:
    write(tmp_path, {"part-9.parquet": "flat", "_SUCCESS": "", "posted_month=2015-02/part-7.parquet": "x"})
    staged = stage(tmp_path)
    write(Path(staged), {"posted_month=2015-02/part-00004.parquet": "more"})
    with TableLock(str(tmp_path), "r1", 0) as lock:
        publish(str(tmp_path), staged, "r1", ["part-9.parquet"], lock)
    assert table(tmp_path) == {**NEW, "posted_month=2015-02/part-00001.parquet": "more"}


@pytest.mark.parametrize(
    "part",
    [
        {"removed": ["../precious"]},
        {"removed": [".."]},
        {"removed": [""]},
        {"staged": "../_staging-r1"},
        {"replaced": {"../precious": ["a.parquet"]}},
        {"replaced": {"posted_month=2015-01": ["../../precious/a.parquet"]}},
    ],
)
def test_a_journal_that_leads_out_of_the_table_is_refused(tmp_path: Path, part: dict[str, Any]) -> None:
    write(tmp_path, {"precious/a.parquet": "mine"})
    journal = {"run_id": "r1", "staged": "_staging-r1/slices", "replaced": {}, "removed": [], **part}
    write(tmp_path / "table", {"_publish-r1.json": json.dumps(journal)})
    with pytest.raises(SchemaError, match="A journal names files outside of its table"):
        settle(str(tmp_path / "table"))
    assert table(tmp_path / "precious") == {"a.parquet": "mine"}
