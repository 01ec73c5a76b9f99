"""Each label rule against its formula, and each status."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf, log2, nan
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.posts.labels import check_labels, popularity_labels
from popspark.runtime.errors import ConfigError, DataError
from popspark.storage.warehouse import count_by_status

POSTED = datetime(2016, 3, 1)
SCHEMA = (
    "post_id string, posted_at timestamp, collected_at timestamp, n_views long, n_likes long, n_shares long, "
    "popularity double"
)


def posts(spark: SparkSession, **columns: list[Any]) -> DataFrame:
    """Posts "0", "1", ... with these values; age_days stands for collected_at - posted_at, None for unknown."""
    n = len(next(iter(columns.values())))
    rows = []
    for i in range(n):
        row = {name: values[i] for name, values in columns.items()}
        age = row.get("age_days", 10)
        collected = None if age is None else POSTED + timedelta(days=age)
        counts = [row.get(name) for name in ("n_views", "n_likes", "n_shares", "popularity")]
        rows.append((str(i), POSTED, collected, *counts))
    return spark.createDataFrame(rows, SCHEMA)


def labels(rows: DataFrame) -> list[tuple[float | None, str]]:
    return [(row.label, row.status) for row in rows.orderBy("post_id").collect()]


def test_flickr_views(spark: SparkSession) -> None:
    rows = posts(
        spark,
        n_views=[100, 1, 0, None, -1, 7, 7, 7, 7, 0],
        age_days=[12.5, 1, 10, 10, 10, None, -1, 0, 0.99, 0],
    )
    found = popularity_labels(rows, "flickr_views")
    assert labels(found) == [
        (log2(100 / 12.5) + 1, "ok"),
        (1.0, "ok"),
        (pytest.approx(log2(1 / 10) + 1), "zero_views_as_one"),
        (None, "missing_counts"),
        (None, "negative_counts"),
        (None, "missing_times"),
        (None, "collected_before_posted"),
        (None, "zero_age"),
        (None, "collected_too_early"),
        (None, "zero_age"),
    ]
    assert count_by_status(found) == {
        "ok": 2,
        "zero_age": 2,
        "collected_before_posted": 1,
        "collected_too_early": 1,
        "missing_counts": 1,
        "missing_times": 1,
        "negative_counts": 1,
        "zero_views_as_one": 1,
    }


def test_flickr_views_options(spark: SparkSession) -> None:
    rows = posts(spark, n_views=[0, 8, 8, 8], age_days=[10, 0.5, 0, 0.25])
    assert labels(popularity_labels(rows, "flickr_views", zero_views="drop", min_age_days=0.5)) == [
        (None, "zero_views"),
        (5.0, "ok"),
        (None, "zero_age"),
        (None, "collected_too_early"),
    ]
    assert labels(popularity_labels(rows, "flickr_views", min_age_days=0))[2:] == [(None, "zero_age"), (6.0, "ok")]


@pytest.mark.parametrize(("weight", "expected"), [(0.7, 7.6), (0.6, 6.8), (0.8, 8.4)])
def test_twitter_with_the_published_weights(spark: SparkSession, weight: float, expected: float) -> None:
    rows = posts(spark, n_shares=[10, 10, None, -1, 10], n_likes=[2, None, 2, 0, 2], age_days=[None, 1, 1, 1, -1])
    assert labels(popularity_labels(rows, "twitter", shares_weight=weight)) == [
        (pytest.approx(expected), "ok"),
        (None, "missing_counts"),
        (None, "missing_counts"),
        (None, "negative_counts"),
        (None, "collected_before_posted"),
    ]


def test_twitter_too_early_is_an_option(spark: SparkSession) -> None:
    rows = posts(spark, n_shares=[1, 1, 1], n_likes=[1, 1, 1], age_days=[1.99, 2, None])
    assert labels(popularity_labels(rows, "twitter", min_age_days=2)) == [
        (None, "collected_too_early"),
        (1.0, "ok"),
        (None, "missing_times"),
    ]


def test_given_is_taken_as_it_is(spark: SparkSession) -> None:
    rows = posts(spark, popularity=[6.4, None, nan, inf, -inf, -2.0])
    assert labels(popularity_labels(rows, "given")) == [
        (6.4, "ok"),
        (None, "missing_label"),
        (None, "label_not_finite"),
        (None, "label_not_finite"),
        (None, "label_not_finite"),
        (-2.0, "ok"),
    ]


def test_any_one_count(spark: SparkSession) -> None:
    rows = posts(spark, n_likes=[7, 0, None, -1, 7, 7], age_days=[None, 1, 1, 1, -1, 1])
    statuses = ["ok", "ok", "missing_counts", "negative_counts", "collected_before_posted", "ok"]
    for scale, of_seven in (("log2", 3.0), ("linear", 7.0)):
        found = labels(popularity_labels(rows, "count", column="n_likes", scale=scale))
        assert found == list(zip([of_seven, 0.0, None, None, None, of_seven], statuses, strict=True))
    early = popularity_labels(rows, "count", min_age_days=2)
    assert [status for _, status in labels(early)][0::5] == ["missing_times", "collected_too_early"]
    other = popularity_labels(posts(spark, popularity=[1.5, nan, inf]), "count", column="popularity", scale="linear")
    assert labels(other) == [(1.5, "ok"), (None, "label_not_finite"), (None, "label_not_finite")]


def test_posts_without_any_label_are_an_error_that_names_the_count(spark: SparkSession) -> None:
    rows = posts(spark, n_likes=[5, None], age_days=[None, None]).withColumn("n_comments", F.lit(None).cast("long"))
    with pytest.raises(DataError) as caught:
        check_labels(rows, "flickr_views")
    assert str(caught.value) == (
        "No post has a label by the rule flickr_views.\n  where: label.rule\n"
        "  got: missing_counts 2; known of no post: n_views, n_shares, n_comments, popularity, collected_at\n"
        "  fix: label.rule=count label.options.column=n_likes"
    )
    check_labels(rows, "count")


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (
            "tweeter",
            {},
            "Unknown label rule.\n  where: rule\n  got: 'tweeter'\n  legal: flickr_views, twitter, count, given\n"
            "  fix: Did you mean 'twitter'?",
        ),
        (
            "given",
            {"min_age_days": 1},
            "The label rule given does not have this option.\n  where: label options\n  got: min_age_days\n"
            "  legal: none",
        ),
        (
            "twitter",
            {"shares_weight": 70},
            "Illegal shares_weight.\n  where: label rule twitter\n  got: 70\n"
            "  legal: a number from 0 to 1; published: 0.6, 0.7, 0.8",
        ),
        (
            "count",
            {"column": "n_user_posts"},
            "Illegal column.\n  where: label rule count\n  got: 'n_user_posts'\n"
            "  legal: n_views, n_likes, n_shares, n_comments, popularity",
        ),
        (
            "flickr_views",
            {"zero_views": "two"},
            "Illegal zero_views.\n  where: label rule flickr_views\n  got: 'two'\n  legal: one or drop",
        ),
        (
            "flickr_views",
            {"min_age_days": nan},
            "Illegal min_age_days.\n  where: label rule flickr_views\n  got: nan\n  legal: a number of days, 0 or more",
        ),
    ],
)
def test_bad_configuration_is_refused(spark: SparkSession, rule: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        popularity_labels(posts(spark, n_views=[1]), rule, **options)
    assert str(caught.value) == message
