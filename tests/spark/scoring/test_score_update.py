"""The scores table brought up to date: many runs equal one, only what changed is scored, and never half a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from popspark.models.bundle import Bundle
from popspark.runtime.errors import AccountingError, LockError, RefusalError, SchemaError
from popspark.runtime.stages import Stages
from popspark.scoring.inputs import scoring_inputs
from popspark.scoring.settings import Update
from popspark.scoring.update import Outcome, update_scores
from popspark.storage.delta import read_version
from popspark.storage.locking import TableLock
from popspark.storage.social_values import SOCIAL_NAMES
from popspark.storage.tables import POSTS, SCORES
from popspark.storage.warehouse import read_table
from popspark.storage.writing import begin, claim

Post = tuple[str, str, datetime, str | None, int]
"""post_id, user_id, posted_at, image_id, n_views"""


def day(month: int, day_of_month: int) -> datetime:
    return datetime(2024, month, day_of_month, 12)


FIRST: list[Post] = [
    ("p0", "ann", day(1, 5), "i0", 10),
    ("p1", "ann", day(2, 5), "i1", 20),
    ("p2", "bob", day(1, 6), "i2", 30),
    ("p3", "bob", day(3, 6), "i3", 40),
    ("p4", "cat", day(2, 7), None, 50),
    ("p5", "cat", day(2, 8), "broken", 60),
]
SHA = {f"i{n}": f"sha{n}" for n in range(9)} | {"broken": "bad"}


def score_with_sql(inputs: DataFrame, images: DataFrame, bundle: Bundle, run_id: str) -> DataFrame:
    """Stands for `score_posts`, without a model: a number that depends on the image and on each social value."""
    value = F.expr("aggregate(transform(social, (x, n) -> x * (n + 1)), 0D, (a, x) -> a + x) + hash(sha256) % 1000")
    status = F.expr("CASE WHEN image_id IS NULL THEN 'no_image' WHEN sha256 = 'bad' THEN 'corrupt' ELSE 'ok' END")
    columns = {
        "score": F.when(F.col("status") == "ok", value),
        "percentile": F.lit(None).cast("double"),
        "model_name": F.lit(bundle.name),
        "model_version": F.lit(bundle.version),
        "error": F.when(F.col("status") != "ok", "refused"),
        "scored_at": F.current_timestamp(),
        "run_id": F.lit(run_id),
    }
    rows = inputs.drop("sha256").join(images.select("image_id", "sha256"), "image_id", "left")
    return rows.withColumn("status", status).withColumns(columns).select(*SCORES.columns)


def model(version: str) -> Bundle:
    manifest = {"name": "nightly", "version": version, "files": {"network.safetensors": version}}
    return Bundle(manifest, {}, {}, np.zeros(2))


@dataclass
class Warehouse:
    """Runs over one scores table, the way the job makes them."""

    spark: SparkSession
    scores: str
    bundle: Bundle = field(default_factory=lambda: model("1"))
    n_runs: int = 0

    def posts(self, posts: list[Post]) -> DataFrame:
        columns = "post_id string, user_id string, posted_at timestamp, image_id string, n_views long"
        known = {"origin": "test", "is_simulated": True, "collected_at": datetime(2024, 6, 1)}
        kinds = {name: kind for name, kind in POSTS.columns.items() if name not in columns}
        values = (F.lit(known.get(name)).cast(kind).alias(name) for name, kind in kinds.items())
        return self.spark.createDataFrame(posts, columns).select("*", *values)

    def run(
        self,
        rows: list[Post],
        sha256: dict[str, str] = SHA,
        change: Callable[[DataFrame], DataFrame] = lambda scores: scores,
        **update: object,
    ) -> Outcome:
        self.n_runs += 1
        run_id, posts = f"r{self.n_runs}", self.posts(rows)
        found = [(image_id, sha, "ok") for image_id, sha in sha256.items()]
        images = self.spark.createDataFrame(found, "image_id string, sha256 string, status string")
        # Stands for `social_features`, which takes its time: a value that depends on earlier posts of the user.
        views = F.sum("n_views").over(Window.partitionBy("user_id").orderBy("posted_at")).cast("double")
        social = posts.select("post_id", *(views.alias(name) for name in SOCIAL_NAMES))
        inputs = scoring_inputs(posts, images, social, self.bundle)

        def score(wanted: DataFrame) -> DataFrame:
            return change(score_with_sql(wanted, images, self.bundle, run_id))

        with claim([self.scores], run_id), begin(self.spark, SCORES, self.scores, run_id) as writing:
            return update_scores(writing, inputs, score, self.bundle, Update.model_validate(update), Stages())

    def rows(self) -> dict[str, dict]:
        rows = read_table(self.spark, SCORES, self.scores).collect()
        assert len({row["post_id"] for row in rows}) == len(rows)
        return {row["post_id"]: row.asDict() for row in rows}

    def run_ids(self) -> dict[str, str]:
        return {post: row["run_id"] for post, row in self.rows().items()}


@pytest.fixture
def warehouse(spark: SparkSession, tmp_path: Path) -> Warehouse:
    return Warehouse(spark, str(tmp_path / "scores"))


def content(warehouse: Warehouse) -> dict[str, dict]:
    """All but when and by which run."""
    rows = warehouse.rows()
    return {
        post: {name: value for name, value in row.items() if name not in ("scored_at", "run_id")}
        for post, row in rows.items()
    }


def files(warehouse: Warehouse) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(warehouse.scores).rglob("*") if path.is_file()}


def test_runs_over_a_growing_table_equal_one_run_over_the_whole(warehouse: Warehouse, tmp_path: Path) -> None:
    first = warehouse.run(FIRST)
    assert (first.n_in, first.n_scored, first.refused, first.n_unchanged) == (6, 4, {"corrupt": 1, "no_image": 1}, 0)
    # p6 is new, in a month of its own; p7 is late: earlier than ann's p1, whose social values it changes.
    second_posts = [*FIRST, ("p6", "ann", day(5, 1), "i6", 70), ("p7", "ann", day(1, 20), "i7", 80)]
    second = warehouse.run(second_posts)
    assert (second.n_in, second.n_scored, second.n_refused) == (8, 3, 0)
    assert {post for post, run in warehouse.run_ids().items() if run == "r2"} == {"p1", "p6", "p7"}
    # i2 has other bytes, p3 another month, p4 an image at last, the broken image is whole; p6 is gone, and its month.
    third_posts = [post for post in second_posts if post[0] not in ("p3", "p4", "p6")]
    third_posts += [("p3", "bob", day(4, 6), "i3", 40), ("p4", "cat", day(2, 7), "i4", 50)]
    third_sha = SHA | {"i2": "other", "broken": "whole"}
    third = warehouse.run(third_posts, third_sha)
    assert (third.n_in, third.n_scored, third.n_refused, third.n_removed) == (7, 4, 0, 1)
    version = read_version(warehouse.scores)
    assert sorted(file.slices["posted_month"] for file in version.files) == [f"2024-0{n}" for n in (1, 2, 4)]

    whole = Warehouse(warehouse.spark, str(tmp_path / "at once"))
    whole.run(third_posts, third_sha)
    assert content(warehouse) == content(whole)


def test_nothing_new_touches_nothing_and_refused_posts_are_not_tried_again(warehouse: Warehouse) -> None:
    warehouse.run(FIRST)
    before = files(warehouse)
    again = warehouse.run(FIRST)
    assert (again.n_in, again.n_unchanged, again.n_scored, again.n_refused) == (6, 6, 0, 0)
    assert files(warehouse) == before
    mended = warehouse.run(FIRST, SHA | {"broken": "whole"})
    assert (mended.n_scored, mended.n_unchanged) == (1, 5)


def test_another_model_scores_all_and_a_full_run_too(warehouse: Warehouse) -> None:
    warehouse.run(FIRST)
    warehouse.bundle = model("2")
    assert warehouse.run(FIRST).n_unchanged == 0
    assert {row["model_version"] for row in warehouse.rows().values()} == {"2"}
    assert warehouse.run(FIRST, mode="full").n_unchanged == 0
    assert set(warehouse.run_ids().values()) == {"r3"}


def test_a_backfill_takes_its_days_and_nothing_else(warehouse: Warehouse) -> None:
    warehouse.run(FIRST)
    fewer = [post for post in FIRST if post[0] != "p0"]
    outcome = warehouse.run(fewer, mode="full", posted_from="2024-02-05", posted_to="2024-02-07")
    assert (outcome.n_in, outcome.n_scored, outcome.n_refused, outcome.n_removed) == (2, 1, 1, 0)
    run_ids = warehouse.run_ids()
    assert {post for post, run in run_ids.items() if run == "r2"} == {"p1", "p4"}
    assert len(run_ids) == 6


def test_the_budget_of_refusals_ends_the_run_before_anything_is_published(warehouse: Warehouse) -> None:
    warehouse.run(FIRST[:2])
    before = files(warehouse)
    message = r"(?s)More posts were refused .*got: 2 of 4: corrupt 1, no_image 1.*legal: at most 40.00%"
    with pytest.raises(RefusalError, match=message):
        warehouse.run(FIRST, max_refused_share=0.4)
    assert files(warehouse) == before
    warehouse.run(FIRST, max_refused_share=0.5)


@pytest.mark.parametrize(
    "change",
    [lambda scores: scores.where("post_id <> 'p1'"), lambda scores: scores.unionByName(scores.limit(1))],
    ids=["lost", "doubled"],
)
def test_a_row_lost_or_doubled_ends_the_run_before_anything_is_published(
    warehouse: Warehouse, change: Callable[[DataFrame], DataFrame]
) -> None:
    warehouse.run(FIRST[:1])
    before = files(warehouse)
    with pytest.raises(AccountingError, match="Posts to score, and scored or refused, do not add up"):
        warehouse.run(FIRST, change=change)
    assert files(warehouse) == before


def test_no_posts_give_a_table_without_rows_and_empty_an_older_one(warehouse: Warehouse) -> None:
    assert warehouse.run([]) == Outcome(0, 0, 0, 0, 0)
    assert warehouse.rows() == {}
    warehouse.run(FIRST)
    assert len(warehouse.rows()) == 6
    assert warehouse.run([]).n_removed == 6
    assert warehouse.rows() == {}


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_a_table_of_another_layout_is_refused_and_stays(warehouse: Warehouse, mode: str) -> None:
    warehouse.spark.range(3).write.parquet(warehouse.scores)
    before = files(warehouse)
    with pytest.raises(SchemaError, match=r"no table of this popspark(?s:.*)fix: popspark convert "):
        warehouse.run(FIRST, mode=mode)
    assert files(warehouse) == before


def test_two_runs_at_once(warehouse: Warehouse) -> None:
    with TableLock(warehouse.scores, "other", 0), pytest.raises(LockError, match="Another run is writing this table"):
        warehouse.run(FIRST)
