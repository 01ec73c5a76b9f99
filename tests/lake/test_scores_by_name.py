"""The nightly scores in a catalog: the same runs as by path, in Delta and in Iceberg."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from popspark.runtime.errors import RefusalError
from tests.spark.scoring.test_score_update import FIRST, SHA, Warehouse, content, day


@pytest.fixture(params=["spark_catalog.default", "ice.db"])
def warehouse(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[Warehouse]:
    name = f"{request.param}.nightly_{uuid.uuid4().hex[:8]}"
    yield Warehouse(spark, f"table:{name}")
    spark.sql(f"DROP TABLE IF EXISTS {name}")


def test_runs_over_a_growing_table_equal_one_run_over_the_whole(warehouse: Warehouse, tmp_path: Path) -> None:
    first = warehouse.run(FIRST)
    assert (first.n_in, first.n_scored, first.refused) == (6, 4, {"corrupt": 1, "no_image": 1})
    later = [post for post in FIRST if post[0] != "p4"]
    later += [("p4", "cat", day(4, 7), "i4", 50), ("p7", "ann", day(1, 20), "i7", 80)]
    second = warehouse.run(later, SHA | {"broken": "whole"})
    assert (second.n_in, second.n_unchanged, second.n_refused) == (7, 3, 0)
    third = warehouse.run(later[1:], SHA | {"broken": "whole"})
    assert third.n_removed == 1

    whole = Warehouse(warehouse.spark, str(tmp_path / "at once"))
    whole.run(later[1:], SHA | {"broken": "whole"})
    assert content(warehouse) == content(whole)
    assert warehouse.run(later[1:], SHA | {"broken": "whole"}).n_unchanged == 6


def test_a_run_that_is_refused_leaves_the_table(warehouse: Warehouse) -> None:
    warehouse.run(FIRST[:2])
    before = content(warehouse)
    with pytest.raises(RefusalError):
        warehouse.run(FIRST, max_refused_share=0.1)
    assert content(warehouse) == before


def test_the_history_names_the_run(warehouse: Warehouse) -> None:
    warehouse.run(FIRST[:2])
    name = warehouse.scores.removeprefix("table:")
    if "ice" in name:
        found = [row[0] for row in warehouse.spark.sql(f"SELECT summary['run_id'] FROM {name}.snapshots").collect()]
    else:
        found = [row["userMetadata"] for row in warehouse.spark.sql(f"DESCRIBE HISTORY {name}").collect()]
    assert any("r1" in str(value) for value in found)
