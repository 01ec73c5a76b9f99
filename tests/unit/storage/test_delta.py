"""Commits to a table by path: what deltalake would let pass is refused, and of two writers one wins."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema

from popspark.runtime.errors import ConfigError, LockError, PathError, SchemaError
from popspark.storage import delta
from popspark.storage.arrow import read_arrow, write_row
from popspark.storage.delta import DataFile, Version, check_folder, commit, read_version
from popspark.storage.maintenance import compact, convert, find_old_tables, parse_target, read_history, restore
from popspark.storage.runs import read_runs
from popspark.storage.tables import RUNS, SCORES

FIELDS = [("id", "string", False), ("v", "double", True), ("k", "string", False)]
SCHEMA = json.dumps(
    {
        "type": "struct",
        "fields": [{"name": n, "type": kind, "nullable": null, "metadata": {}} for n, kind, null in FIELDS],
    }
)


def write(folder: Path, k: str, *ids: str) -> DataFile:
    path = folder / f"k={k}" / f"{'-'.join(ids)}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": pa.array(ids, pa.string()), "v": pa.array([1.0] * len(ids))}), path)
    return DataFile(str(path.relative_to(folder)), path.stat().st_size, len(ids))


def add(
    folder: Path, *files: DataFile, base: Version | None = None, replaced: Iterable[str] | None = None, run: str = "r"
) -> Version:
    commit(str(folder), base, SCHEMA, ("k",), files, replaced, {"run_id": run}, name="small")
    found = read_version(str(folder))
    assert found is not None
    return found


def ids(folder: Path) -> list[str]:
    return sorted(read_arrow(str(folder)).column("id").to_pylist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A path that a URL, a glob and ASCII would spoil."""
    return tmp_path / "Caf\u00e9 [1] table"


def test_replace_all_replace_slices_append(folder: Path) -> None:
    assert read_version(str(folder)) is None
    first = add(folder, write(folder, "a", "1", "2"), write(folder, "b", "3"))
    assert (first.number, first.partitioned_by, ids(folder)) == (0, ("k",), ["1", "2", "3"])
    assert first.paths(k="b") == [f"{folder}/k=b/3.parquet"]
    second = add(folder, write(folder, "a", "4"), base=first, replaced=["a", "c"])
    assert ids(folder) == ["3", "4"]
    third = add(folder, write(folder, "b", "5"), base=second, replaced=[])
    assert ids(folder) == ["3", "4", "5"]
    fourth = add(folder, base=third, replaced=["b"])
    assert ids(folder) == ["4"]
    add(folder, write(folder, "z", "6"), base=fourth)
    assert ids(folder) == ["6"]
    old = read_version(str(folder), 1)
    assert old is not None
    assert [file.n_rows for file in old.files] == [1, 1]


def test_duckdb_and_pandas_read_the_newest_version(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    base = add(folder, write(folder, "a", "1", "2"))
    add(folder, write(folder, "a", "3"), base=base)
    scores = DeltaTable(folder).scan()
    assert duckdb.sql("SELECT id, k FROM scores").fetchall() == [("3", "a")]
    assert scores is not None
    assert read_arrow(str(folder)).to_pandas()["id"].tolist() == ["3"]


@pytest.mark.parametrize("replaced", [None, [], ["a"], ["n"]])
def test_a_writer_that_comes_late_changes_nothing(folder: Path, replaced: list[str] | None) -> None:
    """Also where both make a slice that was not there: with deltalake's own retries both would succeed."""
    base = add(folder, write(folder, "a", "1"))
    add(folder, write(folder, "n", "2"), base=base, replaced=["n"])
    message = r"^Another run has written this table meanwhile\.\n  where: .*\n  got: version 1\n  legal: version 0,"
    with pytest.raises(LockError, match=message):
        add(folder, write(folder, "n", "3"), base=base, replaced=replaced)
    assert ids(folder) == ["1", "2"]


def test_of_many_that_create_a_table_one_does(folder: Path) -> None:
    files = [write(folder, "a", str(n)) for n in range(8)]
    ends = []

    def create(file: DataFile) -> None:
        try:
            ends.append(commit(str(folder), None, SCHEMA, ("k",), [file], None, {}))
        except LockError:
            ends.append(None)

    threads = [threading.Thread(target=create, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends, key=str) == [0] + [None] * 7
    assert len(ids(folder)) == 1


def test_a_commit_whose_answer_was_lost_has_been_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deltalake.exceptions import CommitFailedError

    base = add(folder, write(folder, "a", "1"))
    done = DeltaTable.create_write_transaction

    def answer_is_lost(*args: object, **kwargs: object) -> None:
        done(*args, **kwargs)  # type: ignore[arg-type]
        raise CommitFailedError("connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", answer_is_lost)
    assert commit(str(folder), base, SCHEMA, ("k",), [write(folder, "b", "2")], [], {"run_id": "r"}) == 1
    assert ids(folder) == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}, "deletionVectors"),
        ({"writerFeatures": ["rowTracking"], "readerFeatures": []}, "rowTracking"),
        ({"delta.constraints.positive": "v > 0"}, "delta.constraints.positive"),
        ({"delta.appendOnly": "true"}, "delta.appendOnly"),
    ],
)
def test_a_table_that_is_more_than_its_files_is_refused(folder: Path, change: dict, got: str) -> None:
    base = add(folder, write(folder, "a", "1"))
    log = folder / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "protocol" in line and "writerFeatures" in change:
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **change}
        if "metaData" in line and "writerFeatures" not in change:
            line["metaData"]["configuration"] = change
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(SchemaError, match=rf"reader or writer of its own(?s:.*)got: {got}(?s:.*)table:CATALOG"):
        add(folder, write(folder, "a", "2"), base=base, replaced=[])


def test_partition_values_that_the_paths_do_not_tell_are_refused(folder: Path) -> None:
    write(folder, "a", "1")
    file = DataFile("k=a/1.parquet", 1, 1)
    object.__setattr__(file, "path", "k=a/1.parquet")
    commit(str(folder), None, SCHEMA, ("k",), [file], None, {})
    log = folder / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace('"partitionValues":{"k":"a"}', '"partitionValues":{"k":"b"}'))
    with pytest.raises(SchemaError, match="files of k outside of folders k=VALUE"):
        read_version(str(folder))


def test_a_damaged_log_is_no_table_that_is_not_there_yet(folder: Path) -> None:
    add(folder, write(folder, "a", "1"))
    (folder / "_delta_log" / f"{0:020}.json").write_text('{"add":')
    with pytest.raises(SchemaError, match=r"^The log of this Delta table cannot be read\."):
        read_version(str(folder))


def test_history_restore_and_compact(folder: Path) -> None:
    base = add(folder, write(folder, "a", "1"), write(folder, "a", "2"), run="first")
    add(folder, write(folder, "a", "3"), base=base, run="second")
    lines = read_history(str(folder))
    assert [(line.version, line.run_id) for line in lines] == [(1, "second"), (0, "first")]
    assert abs(lines[0].committed_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert restore(str(folder), 0) == 2
    assert ids(folder) == ["1", "2"]
    assert compact(str(folder)) == {"added": 1, "removed": 2, "deleted": 0}
    assert ids(folder) == ["1", "2"]
    assert restore(str(folder), 1) == 4
    assert ids(folder) == ["3"]
    with pytest.raises(SchemaError, match="cannot be restored"):
        restore(str(folder), 99)
    with pytest.raises(SchemaError, match="the newest already"):
        restore(str(folder), 4)
    with pytest.raises(SchemaError, match=r"was not there then(?s:.*)legal: from 20"):
        restore(str(folder), datetime(2020, 1, 1, tzinfo=UTC))
    next(folder.glob("k=a/3.parquet")).unlink()
    add(Path(f"{folder} runs"), write(Path(f"{folder} runs"), "a", "1"))
    with pytest.raises(SchemaError, match="no table of runs"):
        read_runs(f"{folder} runs")
    with pytest.raises(PathError, match=r"popspark convert table="):
        restore(str(folder / "absent"), 0)


def test_a_vacuum_takes_what_killed_runs_left_and_nothing_that_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    add(folder, write(folder, "a", "1"))
    orphan = folder / write(folder, "a", "9").path
    (folder / "_lock").write_text("{}")
    young = folder / write(folder, "a", "8").path
    long_ago = datetime.now().timestamp() - 8 * 86_400
    os.utime(orphan, (long_ago, long_ago))
    assert compact(str(folder), vacuum=True)["deleted"] == 1
    assert (orphan.exists(), young.exists(), (folder / "_lock").exists(), ids(folder)) == (False, True, True, ["1"])


def test_a_folder_of_parquet_is_converted_as_it_stands(tmp_path: Path) -> None:
    columns = {name: pa.nulls(2, kind.type) for name, kind in zip(SCORES.columns, SCORES.arrow_schema, strict=True)}
    rows = pa.table({**columns, "post_id": ["1", "2"]}).drop_columns(["posted_month"])
    (tmp_path / "scores" / "posted_month=2024-01").mkdir(parents=True)
    pq.write_table(rows, tmp_path / "scores" / "posted_month=2024-01" / "part-00000.parquet")
    assert find_old_tables(str(tmp_path)) == find_old_tables(f"{tmp_path}/scores") == [f"{tmp_path}/scores"]
    table, n_rows = convert(f"{tmp_path}/scores")
    assert find_old_tables(str(tmp_path)) == [str(tmp_path)]
    assert (table, n_rows) == (SCORES, 2)
    found = read_arrow(f"{tmp_path}/scores").to_pylist()
    assert [(row["post_id"], row["posted_month"]) for row in found] == [("1", "2024-01"), ("2", "2024-01")]
    with pytest.raises(SchemaError, match="a Delta table already"):
        convert(f"{tmp_path}/scores")
    with pytest.raises(PathError, match="no Parquet files"):
        convert(f"{tmp_path}/absent")
    (tmp_path / "other").mkdir()
    pq.write_table(rows.drop_columns(["score"]), tmp_path / "other" / "part.parquet")
    with pytest.raises(SchemaError, match="closest is scores, which differs by posted_month, score"):
        convert(f"{tmp_path}/other")
    (tmp_path / "wrong").mkdir()
    named = {"posted_month": ["2024-01", "2024-01"], "input_hash": ["x", "y"]}
    pq.write_table(pa.table({**columns, **named, "post_id": ["1", "2"]}), tmp_path / "wrong" / "part.parquet")
    with pytest.raises(SchemaError, match="closest is scores, which differs by the columns it is partitioned by"):
        convert(f"{tmp_path}/wrong")
    (tmp_path / "wrong" / "part.parquet").write_bytes(b"")
    with pytest.raises(SchemaError, match=r"cannot be worked on(?s:.*)part\.parquet"):
        convert(f"{tmp_path}/wrong")
    (tmp_path / "kinds" / "posted_month=2024-01").mkdir(parents=True)
    spoilt = rows.set_column(rows.schema.get_field_index("input_hash"), "input_hash", pa.array(["x", "y"]))
    pq.write_table(spoilt, tmp_path / "kinds" / "posted_month=2024-01" / "part.parquet")
    with pytest.raises(SchemaError, match=r"not the columns of scores(?s:.*)input_hash is string, must be int64"):
        convert(f"{tmp_path}/kinds")
    (tmp_path / "other" / "_publish-r1.json").write_text("{}")
    with pytest.raises(SchemaError, match="left this table half way"):
        convert(f"{tmp_path}/other")


def test_rows_that_runs_write_at_once_all_stay(tmp_path: Path) -> None:
    def row(run_id: str, outcome: str) -> pa.Table:
        known = {"run_id": run_id, "outcome": outcome}
        columns = {f.name: pa.array([known.get(f.name)], f.type) for f in RUNS.arrow_schema}
        return pa.table(columns, schema=RUNS.arrow_schema)

    def run(n: int) -> None:
        for outcome in ("running", "it's done"):
            write_row(f"{tmp_path}/runs", row(f"r{n}", outcome), json.dumps(RUNS.schema.jsonValue()), "runs", "run_id")

    tmp_path = tmp_path / "[x] caf\u00e9"
    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_arrow(f"{tmp_path}/runs", ["run_id", "outcome"]).to_pylist()
    assert sorted((line["run_id"], line["outcome"]) for line in found) == [(f"r{n}", "it's done") for n in range(6)]


@pytest.mark.parametrize("name", ["a%20b", "a%41", "a\\b"])
def test_a_folder_that_deltalake_would_look_for_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"stands for another character in a URL(?s:.*)fix: rename the folder"):
        check_folder(f"{tmp_path}/{name}")
    check_folder(f"{tmp_path}/50% [1] caf\u00e9 #?")


def test_a_version_or_a_time() -> None:
    assert parse_target("12") == 12
    assert parse_target("2024-05-01T06:00") == datetime(2024, 5, 1, 6, tzinfo=UTC)
    assert parse_target("2024-05-01T06:00+02:00") == datetime(2024, 5, 1, 4, tzinfo=UTC)
    with pytest.raises(ValueError, match="isoformat"):
        parse_target("yesterday")


def test_spark_s_schema_is_the_log_s() -> None:
    assert Schema.from_json(json.dumps(SCORES.schema.jsonValue())).fields[0].nullable is False
    assert delta.is_delta("/nowhere") is False
