"""Files that Spark reads otherwise than it lists them, and sessions that would lose their rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from popspark.ingest.accounting import complete, find_repeated, naming_broken_files, reject_repeated
from popspark.ingest.exports import Options, parse_export
from popspark.ingest.mapping import check_mapping
from popspark.ingest.readers.records import read_lines
from popspark.runtime.errors import DataError
from popspark.storage.warehouse import read_strictly

OPTIONS = Options(mapping=check_mapping({"post_id": "id", "user_id": "who", "extra": ["x`y"]}, "m.yaml"))


def write(path: Path, **more: Any) -> None:
    table = pa.table({"id": [path.stem] * 100, "who": ["w"] * 100, "x`y": ["z"] * 100})
    compression = more.pop("compression", "snappy")
    for name, values in more.items():
        table = table.append_column(name, pa.array(values * 100))
    pq.write_table(table, path, compression=compression)


@pytest.fixture
def _setting(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[None]:
    before = {key: spark.conf.get(key) for key in request.param}
    for key in request.param:
        spark.conf.set(key, "true")
    yield
    for key, value in before.items():
        spark.conf.set(key, str(value))


def test_lines_of_a_file_with_a_colon_in_its_name(spark: SparkSession, tmp_path: Path) -> None:
    names = ["tweets_2024-05-01T10:15:00.jsonl", "plain.jsonl"]
    for name in names:
        (tmp_path / name).write_text('{"a": 1}\n\n{"a": 2}\n')
    rows = read_lines(spark, [f"file:{tmp_path}/{name}" for name in names]).collect()
    found = sorted((row.file.rsplit("/", 1)[-1], row.line, row.raw, row.fault) for row in rows)
    assert found == [(name, line, f'{{"a": {n}}}', None) for name in sorted(names) for n, line in ((1, 1), (2, 3))]


def test_parquet_with_backticks_and_the_reason_of_each_that_cannot_be_read(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "good.parquet")
    write(tmp_path / "clock.parquet", at=[time(1, 2)])
    write(tmp_path / "cases.parquet", A=["a"], a=["b"])
    write(tmp_path / "x_10:15.parquet")
    (tmp_path / "text.parquet").write_text("no")
    rows = parse_export(spark, "parquet", str(tmp_path), OPTIONS).collect()
    assert {row.post_id for row in rows if row.reason is None} == {"good"}
    assert {row.extra["x`y"] for row in rows if row.reason is None} == {"z"}
    bad = {row.file.rsplit("/", 1)[-1]: row.raw for row in rows if row.reason == "unreadable"}
    advice = "Leave the column out, or write it with another type or name"
    assert bad == {
        "clock.parquet": f"unreadable: Illegal Parquet type: INT64 (TIME(MICROS,true)). SQLSTATE: 42846 {advice} ",
        "cases.parquet": "unreadable: The column `a` already exists. Choose another name or rename the existing "
        f"column. SQLSTATE: 42711 {advice} ",
        "x_10:15.parquet": "unreadable: Spark opens no Parquet with a colon in its name, rename it ",
        "text.parquet": "unreadable: this is no Parquet, or a file that was cut ",
    }


def test_a_compression_that_spark_does_not_have_is_named(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", compression="brotli")
    with pytest.raises(DataError) as caught, naming_broken_files():
        parse_export(spark, "parquet", str(tmp_path), OPTIONS).collect()
    assert str(caught.value) == (
        "A file of the export cannot be read to its end.\n"
        f"  where: file://{tmp_path}/a.parquet\n"
        "  got: Brotli, a compression that this Spark does not have\n"
        "  fix: write it with another, zstd or snappy"
    )


IGNORING = ("spark.sql.files.ignoreCorruptFiles", "spark.sql.files.ignoreMissingFiles")


@pytest.mark.parametrize("_setting", [IGNORING], indirect=True, ids=["ignoring"])
@pytest.mark.usefixtures("_setting")
def test_no_session_setting_loses_rows(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", compression="brotli")
    with pytest.raises(DataError), naming_broken_files():
        parse_export(spark, "parquet", str(tmp_path), OPTIONS).collect()
    write(tmp_path / "b.parquet")
    rows = read_strictly(spark).parquet(f"{tmp_path}/b.parquet")
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(Exception, match="FAILED_READ_FILE"):
        rows.collect()


RESERVED = ("spark.sql.ansi.enabled", "spark.sql.ansi.enforceReservedKeywords")


@pytest.mark.parametrize("_setting", [RESERVED], indirect=True, ids=["ansi"])
@pytest.mark.parametrize("export", ["smp_t1", "smpd_2018", "smpd_2020", "x_api", "flickr"])
@pytest.mark.usefixtures("_setting")
def test_no_word_of_ours_is_one_that_sql_reserves(spark: SparkSession, export: str) -> None:
    origin = export.split("_20")[0]
    parsed = parse_export(spark, origin, f"tests/exports/{export}", Options())
    rows = complete(parsed, origin, is_simulated=False)
    good = rows.where("reason IS NULL")
    twice = good.unionByName(good.selectExpr("* EXCEPT (nth)", "nth + 1000 AS nth"))
    kept = reject_repeated(twice, find_repeated(twice)).where("reason IS NULL")
    assert twice.count() > kept.count() == kept.select("post_id").distinct().count() > 0
