"""The record of a run, whatever its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.errors import PythonException

from popspark.runtime.config import Env, ScheduledConfig
from popspark.runtime.errors import BundleError, ConfigError, RefusalError
from popspark.storage.runs import Run, installed_versions, read_runs
from popspark.storage.snapshots import snapshot


def config(folder: Path, run_id: str = "r1") -> ScheduledConfig:
    return ScheduledConfig(
        env=Env(warehouse=str(folder)),
        run_id=run_id,
        runs=f"{folder}/runs",
        metrics=f"{folder}/metrics.json",
        lock_wait_seconds=0,
    )


def rows(folder: Path) -> list[dict]:
    return sorted(read_runs(str(folder / "runs")), key=lambda row: row["run_id"])


def test_a_run_that_succeeds(tmp_path: Path) -> None:
    with Run("score_posts", config(tmp_path)) as run:
        assert not list(tmp_path.iterdir())
        run.model_name, run.model_version = "small", "1"
        run.read_from({"posts": "s3a://me:mine@lake/posts", "images": None})
        assert [row["outcome"] for row in rows(tmp_path)] == ["running"]
        assert not (tmp_path / "metrics.json").exists()
        run.input_rows, run.counts = {"posts": 3}, {"ok": 2, "corrupt": 1}
        run.stages.done("session")
    (row,) = rows(tmp_path)
    assert (row["run_id"], row["job"], row["outcome"], row["exit_code"], row["error"]) == (
        "r1", "score_posts", "succeeded", 0, None,
    )  # fmt: skip
    assert dict(row["inputs"]) == {"posts": "s3a://***@lake/posts"}
    assert dict(row["counts"]) == {"ok": 2, "corrupt": 1}
    assert set(dict(row["stage_seconds"])) == {"session"}
    assert dict(row["versions"]) == installed_versions()
    assert {"popspark", "python", "pyspark", "torch", "numpy"} <= installed_versions().keys()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["outcome"], metrics["counts"], metrics["input_rows"]) == (
        "succeeded",
        dict(row["counts"]),
        {"posts": 3},
    )


def test_a_snapshot_changes_with_the_files_that_are_read(tmp_path: Path) -> None:
    posts = tmp_path / "posts"
    posts.mkdir()
    assert snapshot(str(posts)) is snapshot("table:lake.posts") is snapshot(str(tmp_path / "absent")) is None
    (posts / "part-0.parquet").write_text("some")
    with Run("score_posts", config(tmp_path)) as run:
        run.read_from({"posts": str(posts), "images": "table:lake.images"})
    first = snapshot(str(posts))
    (row,) = rows(tmp_path)
    assert dict(row["snapshots"]) == {"posts": first}
    (posts / "_SUCCESS").touch()
    assert snapshot(str(posts)) == first
    (posts / "part-1.parquet").write_text("more")
    assert snapshot(str(posts)) != first


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RefusalError("Too many."), 79, "RefusalError: Too many."),
        (ZeroDivisionError("token=mine"), 1, "ZeroDivisionError: token=***"),
        (SystemExit(143), 143, "SystemExit: 143"),
    ],
)
def test_a_run_that_fails(tmp_path: Path, error: BaseException, code: int, text: str) -> None:
    with pytest.raises(type(error)), Run("score_posts", config(tmp_path)):
        raise error
    (row,) = rows(tmp_path)
    assert (row["outcome"], row["exit_code"], row["error"]) == ("failed", code, text)
    assert json.loads((tmp_path / "metrics.json").read_text())["exit_code"] == code


def test_settings_that_cannot_be_used_are_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), Run("score_posts", config(tmp_path)):
        raise ConfigError("Unknown family.")
    assert not rows(tmp_path)
    assert not (tmp_path / "metrics.json").exists()
    run = Run("score_posts", config(tmp_path))
    run.read_from({})
    with pytest.raises(ConfigError), run:
        raise ConfigError("obstore is not installed on an executor.")
    assert [(row["outcome"], row["exit_code"]) for row in rows(tmp_path)] == [("failed", 78)]


def test_the_error_of_a_worker_is_recorded_as_itself(tmp_path: Path) -> None:
    text = "Traceback (most recent call last):\npopspark.runtime.errors.DeviceError: No GPU.\n  got: 0\n"
    with pytest.raises(PythonException), Run("score_posts", config(tmp_path)):
        raise PythonException(text)
    (row,) = rows(tmp_path)
    assert (row["exit_code"], row["error"]) == (69, "DeviceError: No GPU.\n  got: 0")


def test_the_next_run_says_which_one_was_killed(tmp_path: Path) -> None:
    killed = Run("score_posts", config(tmp_path, "r1"))
    killed.read_from({})
    with Run("score_posts", config(tmp_path, "r2")) as run:
        run.mark_killed([{"run_id": "r1"}, {"run_id": "unknown"}, {}])
        run.mark_killed([])
    assert [(row["run_id"], row["outcome"]) for row in rows(tmp_path)] == [("r1", "killed"), ("r2", "succeeded")]


def test_no_runs_table_and_no_metrics(tmp_path: Path) -> None:
    silent = config(tmp_path).model_copy(update={"runs": None, "metrics": None})
    with Run("score_posts", silent) as run:
        run.mark_killed([{"run_id": "r0"}])
    assert not list(tmp_path.iterdir())


def test_neither_the_table_nor_the_metrics_hold_secrets(tmp_path: Path) -> None:
    def read(run: Run) -> None:
        with run:
            run.read_from({"posts": "s3a://KEY:SEC/RET@bucket/posts"})
            raise BundleError("Not readable.", where="jdbc:mysql://h/db?user=me&pwd=SECRET")

    with pytest.raises(BundleError):
        read(Run("score_posts", config(tmp_path)))
    written = (tmp_path / "metrics.json").read_text() + str(rows(tmp_path))
    assert "SEC" not in written
    assert written.count("s3a://***@bucket/posts") == 2
    assert written.count("pwd=***") == 2
