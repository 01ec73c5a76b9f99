"""Tables by path and by name under one suite: the same rows, the same refusals, whoever wrote them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.runtime.errors import AccountingError, ConfigError, LockError, PathError, SchemaError
from popspark.storage.tables import SCORES
from popspark.storage.warehouse import find_table, read_table
from popspark.storage.writing import begin, write_table

WHERE = ["path", "table:spark_catalog.default", "table:ice.db"]
NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(params=WHERE)
def where(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    """A table that does not exist yet."""
    name = f"scores_{uuid.uuid4().hex[:8]}"
    if request.param == "path":
        yield f"{tmp_path}/{name}"
        return
    yield f"{request.param}.{name}"
    spark.sql(f"DROP TABLE IF EXISTS {request.param.removeprefix('table:')}.{name}")


def rows(spark: SparkSession, **months: str) -> DataFrame:
    """A score for each post_id, whose month is its value: `a="2024-01"`."""
    known = {"model_name": "m", "model_version": "1", "status": "ok", "scored_at": NOW, "input_hash": 1, "run_id": "r"}
    posts = [(post_id, month.replace("_", "-")) for post_id, month in months.items()]
    columns = "post_id string, posted_month string"
    given = spark.createDataFrame(posts, columns)
    values = (F.lit(known.get(n)).cast(k).alias(n) for n, k in SCORES.columns.items() if n not in columns)
    return given.select("*", *values).select(*SCORES.columns)


def content(spark: SparkSession, where: str) -> dict[str, str]:
    found = read_table(spark, SCORES, where).select("post_id", "posted_month").collect()
    assert len({row.post_id for row in found}) == len(found)
    return {row.post_id: row.posted_month for row in found}


def test_created_replaced_by_slices_appended_and_replaced_whole(spark: SparkSession, where: str) -> None:
    assert find_table(spark, SCORES, where) is None
    write_table(rows(spark, a="2024-01", b="2024-02"), SCORES, where, run_id="r1")
    with begin(spark, SCORES, where, "r2") as writing:
        writing.stage(rows(spark, c="2024-02"))
        assert (writing.n_staged, [row.post_id for row in writing.staged().collect()]) == (1, ["c"])
        assert content(spark, where) == {"a": "2024-01", "b": "2024-02"}
        writing.commit(["2024-02", "2024-03"])
        assert content(spark, where) == {"a": "2024-01", "c": "2024-02"}
        writing.stage(rows(spark, d="2024-04"))
        writing.commit([])
        writing.commit(["2024-01"])
    assert content(spark, where) == {"c": "2024-02", "d": "2024-04"}
    write_table(rows(spark, e="2024-05"), SCORES, where)
    assert content(spark, where) == {"e": "2024-05"}
    write_table(rows(spark).limit(0), SCORES, where)
    assert content(spark, where) == {}


@pytest.mark.parametrize("replaced", [None, [], ["2024-02"]])
def test_a_writer_that_comes_late_changes_nothing(spark: SparkSession, where: str, replaced: list[str] | None) -> None:
    write_table(rows(spark, a="2024-01"), SCORES, where)
    with begin(spark, SCORES, where, "late") as late:
        late.stage(rows(spark, x="2024-02"))
        write_table(rows(spark, b="2024-02"), SCORES, where, "append")
        kept = late.read()
        assert kept is not None
        assert [row.post_id for row in kept.collect()] == ["a"], "what is read stays what was found"
        with pytest.raises(LockError, match="Another run has written this table meanwhile"):
            late.commit(replaced)
    assert content(spark, where) == {"a": "2024-01", "b": "2024-02"}


def test_two_rows_of_a_key_or_one_outside_of_the_slices_are_never_written(spark: SparkSession, where: str) -> None:
    write_table(rows(spark, a="2024-01"), SCORES, where)
    twice = rows(spark, b="2024-01").unionByName(rows(spark, b="2024-02"))
    with pytest.raises(AccountingError, match=r"Two rows of table scores have one key(?s:.*)got: post_id=b"):
        write_table(twice, SCORES, where)
    with begin(spark, SCORES, where) as writing:
        writing.stage(rows(spark, b="2024-02"))
        with pytest.raises(AccountingError, match=r"got: posted_month 2024-02\n  legal: 2024-01"):
            writing.commit(["2024-01"])
    assert content(spark, where) == {"a": "2024-01"}


def test_what_the_run_keeps_is_computed_once(spark: SparkSession, where: str) -> None:
    with begin(spark, SCORES, where, "r") as writing:
        kept = writing.keep(spark.range(5).select(F.rand().alias("x")))
        assert kept.collect() == kept.collect()


def test_views_and_other_tables_are_read_and_not_written(spark: SparkSession, tmp_path: Path) -> None:
    write_table(rows(spark, a="2024-01"), SCORES, f"{tmp_path}/scores")
    read_table(spark, SCORES, f"{tmp_path}/scores").createOrReplaceTempView("scores_temporary")
    spark.sql("CREATE TABLE scores_parquet USING parquet AS SELECT * FROM scores_temporary")
    spark.sql("CREATE VIEW scores_view AS SELECT * FROM scores_parquet")
    try:
        for name, kind in (("temporary", "a view"), ("parquet", "a table of parquet"), ("view", "view")):
            assert content(spark, f"table:scores_{name}") == {"a": "2024-01"}
            with pytest.raises(ConfigError, match=rf"cannot be written(?s:.*)got: {kind}\n"):
                begin(spark, SCORES, f"table:scores_{name}")
    finally:
        spark.sql("DROP VIEW IF EXISTS scores_view")
        spark.sql("DROP TABLE IF EXISTS scores_parquet")


@pytest.mark.parametrize("name", ["nope.db.scores", "ice2.scores.a"])
def test_a_mistyped_catalog_makes_no_table(spark: SparkSession, name: str) -> None:
    with pytest.raises(ConfigError):
        begin(spark, SCORES, f"table:{name}")
    with pytest.raises((PathError, SchemaError)):
        read_table(spark, SCORES, f"table:{name}")


def test_delta_s_own_reader_sees_our_commits(spark: SparkSession, tmp_path: Path) -> None:
    where = f"{tmp_path}/Caf\u00e9 scores"
    write_table(rows(spark, a="2024-01", b="2024-02"), SCORES, where, run_id="first")
    write_table(rows(spark, c="2024-03"), SCORES, where, "append", run_id="second")
    theirs = spark.read.format("delta").load(where)
    assert theirs.count() == 3
    assert (
        theirs.where("posted_month = '2024-03'").collect()
        == read_table(spark, SCORES, where).where("post_id = 'c'").select(theirs.columns).collect()
    )
    assert spark.read.format("delta").option("versionAsOf", 0).load(where).count() == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE {} SET TBLPROPERTIES (delta.enableDeletionVectors = true)", "deletionVectors"),
        ("ALTER TABLE {} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "column"),
        ("ALTER TABLE {} ADD CONSTRAINT positive CHECK (input_hash > 0)", "constraints"),
    ],
)
def test_tables_of_delta_s_jar_that_are_more_than_their_files(
    spark: SparkSession, tmp_path: Path, change: str, named: str
) -> None:
    where = f"{tmp_path}/theirs"
    rows(spark, a="2024-01").write.format("delta").partitionBy("posted_month").save(where)
    assert content(spark, where) == {"a": "2024-01"}
    write_table(rows(spark, b="2024-01"), SCORES, where, "append")
    assert spark.read.format("delta").load(where).count() == 2
    spark.sql(change.format(f"delta.`{where}`"))
    with pytest.raises(SchemaError, match=rf"reader or writer of its own(?s:.*){named}(?s:.*)table:CATALOG"):
        write_table(rows(spark, c="2024-01"), SCORES, where, "append")
