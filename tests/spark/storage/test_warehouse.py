"""Tables read and written against their declarations."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from popspark.runtime.errors import PathError, SchemaError
from popspark.storage.tables import IMAGE_FEATURES, IMAGES, SCORES
from popspark.storage.warehouse import count_by_status, find_table, read_table, validate
from popspark.storage.writing import write_table


def test_all_differences_are_reported_at_once(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("p", "high")], "post_id string, score string")
    with pytest.raises(SchemaError) as caught:
        validate(rows, SCORES, "warehouse/scores")
    message = str(caught.value)
    assert message.startswith("These are not rows of table scores.\n  where: warehouse/scores\n  got: ")
    for difference in ("missing column percentile double", "missing column status string", "column score is string"):
        assert difference in message


def test_an_absent_table_and_another_table(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="Cannot read the images table"):
        read_table(spark, IMAGES, str(tmp_path / "absent"))
    assert find_table(spark, IMAGES, str(tmp_path / "absent")) is None
    spark.range(3).write.parquet(str(tmp_path / "other"))
    with pytest.raises(SchemaError):
        find_table(spark, IMAGES, str(tmp_path / "other"))


def test_only_what_is_not_there_counts_as_nothing_yet(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "_lock").write_text("{}")
    assert find_table(spark, IMAGES, str(tmp_path / "locked")) is None
    assert find_table(spark, SCORES, "table:no_such_table") is None
    pq.write_table(pa.table({"image_id": ["i"], "IMAGE_ID": ["i"]}), tmp_path / "twice.parquet")
    unreadable = r"^Cannot read the images table\.\n  where: .*\n  got: \[COLUMN_ALREADY_EXISTS"
    with pytest.raises(SchemaError, match=unreadable):
        find_table(spark, IMAGES, str(tmp_path / "twice.parquet"))


def test_a_written_table_reads_back_without_undeclared_columns(spark: SparkSession, tmp_path: Path) -> None:
    row = ("i", "/x", "s", 1, 2, 3, "JPEG", "ok", None, "more")
    wide = spark.createDataFrame([row], IMAGES.schema.simpleString()[7:-1].replace(":", " ") + ", more string")
    write_table(wide, IMAGES, str(tmp_path / "images"))
    back = read_table(spark, IMAGES, str(tmp_path / "images"))
    assert back.columns == list(IMAGES.columns)
    assert back.count() == 1


def test_statuses_are_counted_ok_first(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(s,) for s in ("b", "ok", "a", "b")], "status string")
    assert list(count_by_status(rows).items()) == [("ok", 1), ("b", 2), ("a", 1)]


def test_the_files_that_a_task_writes_for_several_families_hold_images_in_one_order(
    spark: SparkSession, tmp_path: Path
) -> None:
    families = F.explode(F.array(F.lit("color"), F.lit("lbp"), F.lit("gist"))).alias("family")
    rows = spark.range(0, 300, 1, 2).select(F.col("id").cast("string").alias("image_id"), families).orderBy(F.rand(1))
    known = {"image_id": F.col("image_id"), "family": F.col("family"), "status": F.lit("ok"), "version": F.lit("1")}
    columns = (known.get(n, F.lit(None)).cast(kind).alias(n) for n, kind in IMAGE_FEATURES.columns.items())
    write_table(rows.coalesce(2).select(*columns), IMAGE_FEATURES, str(tmp_path))
    found = [pq.ParquetFile(file).read().column("image_id").to_pylist() for file in tmp_path.glob("family=*/*.parquet")]
    assert all(ids == sorted(ids) for ids in found)
    assert sum(map(len, found)) == 900
