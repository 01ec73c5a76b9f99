"""Writes by path: whole or not at all, and what no reader may take for a table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

import popspark
from popspark.runtime.errors import AccountingError, ConfigError, LockError, PathError, SchemaError
from popspark.storage import files, folders
from popspark.storage.arrow import read_arrow
from popspark.storage.delta import DataFile
from popspark.storage.files import check_there
from popspark.storage.schemas.table import Table
from popspark.storage.tables import IMAGES
from popspark.storage.warehouse import find_table, open_rows, read_table
from popspark.storage.writing import begin, claim, write_table

NOTES = Table(
    "notes",
    {
        "note_id": t.StringType(),
        "at": t.TimestampType(),
        "x": t.DoubleType(),
        "words": t.ArrayType(t.StringType()),
        "extra": t.MapType(t.StringType(), t.StringType()),
        "bytes": t.BinaryType(),
        "kind": t.StringType(),
    },
    key=("note_id",),
    required=("kind",),
    partitioned_by=("kind",),
)
OLD, NEW = datetime(1500, 1, 1, 12, tzinfo=UTC), datetime(2024, 5, 1, 1, 2, 3, 456789, tzinfo=UTC)
ROWS = [
    ("a", NEW, 1.5, ["\u00e9", None], {"k": "v"}, b"\x00\xff", "one"),
    ("b", OLD, float("nan"), [], {}, b"", "one"),
    ("c", None, None, None, None, None, "two"),
]


def made(spark: SparkSession, rows: list[tuple] = ROWS) -> DataFrame:
    return spark.createDataFrame(rows, t.StructType([t.StructField(n, k) for n, k in NOTES.columns.items()]))


def ids(path: str) -> list[str]:
    return sorted(read_arrow(path, ["note_id"]).column(0).to_pylist())


def on_disk(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """One that a URL, a glob and ASCII would spoil."""
    return f"{tmp_path}/Caf\u00e9 [1] {{a,b}}?/notes"


def test_values_come_back_as_they_went_in(spark: SparkSession, path: str) -> None:
    write_table(made(spark), NOTES, path, run_id="r1")
    found = read_table(spark, NOTES, path).orderBy("note_id").collect()
    expected = made(spark).orderBy("note_id").collect()
    assert [repr(tuple(row)) for row in found] == [repr(tuple(row)) for row in expected]
    assert read_table(spark, NOTES, path).where("x > 2").count() == 1, "NaN is Spark's greatest number"
    assert read_table(spark, NOTES, path).where("kind = 'two'").count() == 1


def test_a_table_without_rows_has_its_columns(spark: SparkSession, path: str) -> None:
    write_table(made(spark, []), NOTES, path)
    assert read_table(spark, NOTES, path).dtypes == made(spark).dtypes
    assert find_table(spark, NOTES, path) is not None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((None, None, None, None, None, None, "one"), r"A row has no note_id"),
        (("a", None, None, None, None, None, None), r"A row has no kind"),
        (("a", None, None, None, None, None, "a/b"), r"This value of kind cannot name a folder(?s:.*)got: a/b"),
        (("a", None, None, None, None, None, "_one"), r"This value of kind cannot name a folder"),
        (("a", None, None, None, None, None, "\u00e9t\u00e9"), r"This value of kind cannot name a folder"),
    ],
)
def test_rows_that_no_table_holds(spark: SparkSession, path: str, row: tuple, message: str) -> None:
    write_table(made(spark), NOTES, path)
    with pytest.raises((PythonException, SchemaError), match=message):
        write_table(made(spark, [row]), NOTES, path)
    assert ids(path) == ["a", "b", "c"]


def test_two_rows_of_one_key(spark: SparkSession, path: str) -> None:
    write_table(made(spark), NOTES, path)
    before = on_disk(Path(path))
    twice = [ROWS[0], (*ROWS[0][:-1], "two")]
    message = r"^Two rows of table notes have one key; nothing was written\.\n  where: .*\n  got: note_id=a\n"
    with pytest.raises(AccountingError, match=message):
        write_table(made(spark, twice), NOTES, path)
    assert (ids(path), on_disk(Path(path))) == (["a", "b", "c"], before)


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs but the next process."""


STEPS: list[tuple[str, Callable[[pytest.MonkeyPatch, Callable[..., Any]], None]]] = [
    ("before files are written", lambda patch, die: patch.setattr(folders, "write_files", die)),
    ("before they are looked at", lambda patch, die: patch.setattr(files, "check_there", die)),
    ("before keys are counted", lambda patch, die: patch.setattr(folders.FolderTransaction, "_check_keys", die)),
    ("before the commit", lambda patch, die: patch.setattr(folders, "commit", die)),
    ("after the commit", lambda patch, die: patch.setattr(folders.FolderTransaction, "_commit", _after(die))),
]


def _after(die: Callable[..., Any]) -> Callable[..., Any]:
    done = folders.FolderTransaction._commit

    def commit(*arguments: Any) -> None:
        done(*arguments)
        die()

    return commit


@pytest.mark.parametrize("step", STEPS, ids=[name for name, _ in STEPS])
@pytest.mark.parametrize("exists", [True, False])
def test_killed_at_any_step_it_is_the_old_table_or_the_new_one(
    spark: SparkSession, path: str, monkeypatch: pytest.MonkeyPatch, step: Any, exists: bool
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    if exists:
        write_table(made(spark, ROWS[:1]), NOTES, path)
    with monkeypatch.context() as patch:
        patch.setattr(folders.FolderTransaction, "__exit__", lambda *_: None)
        step[1](patch, die)
        with pytest.raises(Killed):
            write_table(made(spark), NOTES, path)
    old = ["a"] if exists else None
    found = find_table(spark, NOTES, path)
    left = None if found is None else sorted(row.note_id for row in found.select("note_id").collect())
    assert left == (["a", "b", "c"] if step[0] == "after the commit" else old)


def test_a_killed_creation_does_not_stand_in_the_way(
    spark: SparkSession, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(folders.FolderTransaction, "__exit__", lambda *_: None)
        patch.setattr(folders, "commit", lambda *_, **__: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            write_table(made(spark), NOTES, path)
    assert find_table(spark, NOTES, path) is None
    write_table(made(spark, ROWS[:2]), NOTES, path)
    assert ids(path) == ["a", "b"]


def test_what_a_transaction_does_not_commit_leaves_nothing(spark: SparkSession, path: str) -> None:
    write_table(made(spark), NOTES, path)
    before = on_disk(Path(path))
    with begin(spark, NOTES, path, "r2") as writing:
        writing.stage(made(spark, ROWS[:1]))
        kept = writing.keep(spark.range(4))
        assert (kept.count(), on_disk(Path(path)) > before) == (4, True)
    assert on_disk(Path(path)) == before


def test_a_table_whose_first_write_failed_half_way_is_written_by_the_next_run(
    spark: SparkSession, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: files lie there of which nobody knows the names."""

    def fail(*_: object) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "torn.parquet").write_bytes(b"")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_files", fail)
        with pytest.raises(OSError, match="No space"):
            write_table(made(spark), NOTES, path)
    assert find_table(spark, NOTES, path) is None
    with begin(spark, NOTES, path) as writing:  # the next one gives up by itself
        writing.stage(made(spark))
    assert find_table(spark, NOTES, path) is None, "what the first left is no table yet"
    write_table(made(spark), NOTES, path)
    assert ids(path) == ["a", "b", "c"]


def test_a_table_of_somebody_else_is_not_replaced(spark: SparkSession, path: str, tmp_path: Path) -> None:
    write_table(made(spark), NOTES, path)
    message = r"^This is another table than images\.(?s:.*)fix: give another path"
    with pytest.raises(SchemaError, match=message):
        begin(spark, IMAGES, path)
    with pytest.raises(ConfigError, match="Two tables cannot have one path"), claim([path, path], "r1"):
        pytest.fail("claimed")


def test_a_table_that_was_not_made_leaves_nothing(spark: SparkSession, path: str) -> None:
    with begin(spark, NOTES, path, "r1") as writing:
        writing.stage(made(spark))
        assert find_table(spark, NOTES, path) is None
    assert on_disk(Path(path)) == set()
    assert find_table(spark, NOTES, path) is None


def test_a_file_that_the_driver_does_not_see(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("1234")
    check_there([DataFile("x.parquet", 4, 1)], str(tmp_path))
    for file, got in ((DataFile("x.parquet", 5, 1), "4 bytes"), (DataFile("y.parquet", 5, 1), "no file")):
        with pytest.raises(AccountingError, match=rf"not what the driver sees(?s:.*)got: {got}"):
            check_there([file], str(tmp_path))


def test_a_version_whose_files_are_gone_is_not_a_table_that_is_not_there_yet(spark: SparkSession, path: str) -> None:
    write_table(made(spark), NOTES, path)
    next(Path(path).glob("kind=one/*.parquet")).unlink()
    with pytest.raises(SchemaError, match="Spark does not see all files of this version"):
        find_table(spark, NOTES, path)


@pytest.mark.parametrize(
    ("beside", "name"),
    [("_delta_log/0.json", "Delta"), ("metadata/v1.metadata.json", "Iceberg"), (".hoodie/x", "Hudi")],
)
def test_a_folder_within_a_table_of_another_format(spark: SparkSession, tmp_path: Path, beside: str, name: str) -> None:
    inner = tmp_path / "table" / "data" / "kind=one"
    inner.mkdir(parents=True)
    pq.write_table(pa.table({"note_id": ["a"]}), inner / "x.parquet")
    (tmp_path / "table" / beside).parent.mkdir(parents=True)
    (tmp_path / "table" / beside).write_text("{}")
    with pytest.raises(SchemaError, match=rf"within a table of {name}"):
        open_rows(spark, str(inner))


def test_other_files_are_never_hidden_by_a_table(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(SchemaError, match=r"no table of this popspark\.(?s:.*)got: notes\.txt(?s:.*)popspark convert"):
        write_table(made(spark), NOTES, f"{tmp_path}/mine")
    with pytest.raises(PathError, match="this is a file"):
        write_table(made(spark), NOTES, f"{tmp_path}/mine/notes.txt")
    assert on_disk(tmp_path) == {"mine/notes.txt"}


def test_large_values_are_written_in_row_groups_that_a_reader_can_hold(spark: SparkSession, path: str) -> None:
    rows = spark.range(0, 40, 1, 1).select(
        F.col("id").cast("string").alias("note_id"), F.expr("repeat(id, 100000)").cast("binary").alias("bytes")
    )
    small = Table("notes", {"note_id": t.StringType(), "bytes": t.BinaryType()}, ("note_id",), row_group_bytes=1 << 20)
    write_table(rows, small, path)
    (file,) = Path(path).glob("*.parquet")
    metadata = pq.read_metadata(file)
    assert (metadata.num_rows, 3 <= metadata.num_row_groups <= 10) == (40, True)
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_tables_of_a_warehouse_are_views(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no table of popspark's"):
        popspark.tables(spark, str(tmp_path))
    write_table(
        spark.createDataFrame([("i", "ok")], "image_id string, status string").select(
            *(
                F.col(n) if n in ("image_id", "status") else F.lit(None).cast(k).alias(n)
                for n, k in IMAGES.columns.items()
            )
        ),
        IMAGES,
        f"{tmp_path}/images",
    )
    found = popspark.tables(spark, f"{tmp_path}/")
    assert list(found) == ["images"]
    assert spark.sql("SELECT status FROM images").collect()[0].status == found["images"].collect()[0].status == "ok"


def test_a_second_run_ends_before_it_computes(tmp_path: Path) -> None:
    tables = [f"{tmp_path}/one", f"{tmp_path}/two"]
    with claim(tables, "r1"):
        with (
            pytest.raises(LockError, match=r"^Another run is writing this table\.(?s:.*)got: run r1 on"),
            claim(tables, "r2"),
        ):
            pytest.fail("claimed twice")
        with claim([f"{tmp_path}/three", "table:lake.scores"], "r3") as killed:
            assert killed == []
    with claim(tables, "r4"):
        pass
