"""The 34 social values against a plain Python oracle, and each stated rule by itself."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from popspark.posts.social import MODES, count_unknown, social_features
from popspark.runtime.errors import ConfigError
from popspark.storage.social_values import SOCIAL_GROUPS, SOCIAL_NAMES
from popspark.storage.tables import POSTS, SOCIAL_FEATURES
from popspark.storage.warehouse import validate

Post = dict[str, Any]


def post(
    post_id: str, user_id: str = "u", posted_at: str | datetime | None = "2016-03-01T12:00", **values: Any
) -> Post:
    when = datetime.fromisoformat(posted_at) if isinstance(posted_at, str) else posted_at
    base = {"post_id": post_id, "user_id": user_id, "posted_at": when, "origin": "test", "is_simulated": True}
    return {**dict.fromkeys(POSTS.columns), **base, **values}


def table(spark: SparkSession, posts: Sequence[Post]) -> DataFrame:
    return spark.createDataFrame([tuple(p[c] for c in POSTS.columns) for p in posts], POSTS.schema)


def features(spark: SparkSession, posts: Sequence[Post], mode: str) -> dict[str, dict[str, float]]:
    rows = social_features(spark, table(spark, posts), mode).collect()
    assert len(rows) == len(posts)
    return {row.post_id: row.asDict() for row in rows}


def mean_views(posts: Sequence[Post], has_views: bool) -> float:
    known = [p for p in posts if (p["n_views"] if has_views else p["popularity"]) is not None]
    if not known:
        return 0.0
    if has_views:
        return float(sum(p["n_views"] for p in known) / len(known))
    return sum(round(1000 * 2 ** (p["popularity"] - 1)) for p in known) / len(known) / 1000


def rank(means: dict[str, float], user: str) -> float:
    order = sorted(means, key=lambda u: (means[u], u))
    return order.index(user) + 1.0 if user in means else 0.0


def brute_force_user_values(posts: Sequence[Post], one: Post, mode: str) -> tuple[float, float, float]:
    """(rank, average views, image count), straight from the definitions."""
    peers = [p for p in posts if p["origin"] == one["origin"]]
    has_views = any(p["n_views"] is not None for p in peers)

    def is_known(p: Post) -> bool:
        return (p["n_views"] if has_views else p["popularity"]) is not None

    if mode == "paper":
        seen, ranked = peers, peers
    else:
        start = one["posted_at"].replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        seen = [p for p in peers if p["posted_at"] < one["posted_at"]]
        ranked = [p for p in peers if p["posted_at"] < start]
    own = [p for p in seen if p["user_id"] == one["user_id"]]
    users = {p["user_id"] for p in ranked if is_known(p)}
    means = {u: mean_views([p for p in ranked if p["user_id"] == u], has_views) for u in users}
    return rank(means, one["user_id"]), mean_views(own, has_views), float(len(own))


def random_posts(seed: int) -> list[Post]:
    """Two origins, one without views; many posts at equal times, on the same day, and at month ends."""
    draw = random.Random(seed)
    start = datetime(2015, 11, 28)
    posts = []
    for i in range(240):
        origin = draw.choice(["views", "label"])
        values: Post = {"origin": origin}
        if draw.random() < 0.85:
            values |= {"n_views": draw.randint(0, 999)} if origin == "views" else {"popularity": draw.uniform(1, 16)}
        when = start + timedelta(days=draw.choice([0, 1, 2, 2, 3, 34, 35, 70, 190]), hours=draw.randint(0, 5))
        posts.append(post(str(i), f"u{draw.randint(0, 6)}", when, **values))
    return posts


@pytest.mark.parametrize("mode", ["paper", "point_in_time"])
def test_user_values_equal_brute_force(spark: SparkSession, mode: str) -> None:
    posts = random_posts(seed=1)
    got = features(spark, posts, mode)
    for one in posts:
        row = got[one["post_id"]]
        expected = brute_force_user_values(posts, one, mode)
        assert (row["user_rank"], row["user_mean_views"], row["n_user_posts"]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mode", ["paper", "point_in_time"])
def test_order_and_partitioning_of_rows_do_not_matter(spark: SparkSession, mode: str) -> None:
    posts = random_posts(seed=2)
    shuffled = table(spark, posts[::-1]).repartition(7)
    again = {r.post_id: r.asDict() for r in social_features(spark, shuffled, mode).collect()}
    assert again == features(spark, posts, mode)


def test_later_views_never_reach_a_post(spark: SparkSession) -> None:
    """Point in time: raising the views of a post moves only posts after it."""
    posts = random_posts(seed=3)
    cut = sorted(p["posted_at"] for p in posts)[len(posts) // 2]
    raised = [{**p, "n_views": 10**9} if p["posted_at"] >= cut and p["n_views"] is not None else p for p in posts]
    before, after = (features(spark, rows, "point_in_time") for rows in (posts, raised))
    early = [p["post_id"] for p in posts if p["posted_at"] <= cut]
    assert {i: before[i] for i in early} == {i: after[i] for i in early}
    assert before != after


def test_one_post_in_full(spark: SparkSession) -> None:
    one = post(
        "1",
        posted_at="2016-02-29T23:59:59",  # a Monday evening in February
        collected_at=datetime(2016, 3, 2, 11, 59, 59),
        title="abc",
        caption="défg",
        hashtags=["a", "b"],
        has_people=True,
        n_comments=7,
        n_views=40,
        n_user_groups=3,
        user_mean_group_members=12.5,
    )
    row = features(spark, [one], "paper")["1"]
    expected = dict.fromkeys(SOCIAL_NAMES, 0.0) | {
        "user_rank": 1.0,
        "user_mean_views": 40.0,
        "n_user_groups": 3.0,
        "user_mean_group_members": 12.5,
        "n_user_posts": 1.0,
        "n_hashtags": 2.0,
        "n_title_chars": 3.0,
        "n_caption_chars": 4.0,
        "has_people": 1.0,
        "n_comments": 7.0,
        "is_monday": 1.0,
        "is_february": 1.0,
        "is_evening": 1.0,
        "days_online": 1.5,
    }
    assert row == {"post_id": "1", "mode": "paper", **expected}
    cold = {"user_rank": 0.0, "user_mean_views": 0.0, "n_user_posts": 0.0, "n_comments": 0.0}
    row = features(spark, [one], "point_in_time")["1"]
    assert row == {"post_id": "1", "mode": "point_in_time", **expected, **cold}


def test_what_the_origin_states_wins_in_paper_mode_only(spark: SparkSession) -> None:
    posts = [
        post("1", posted_at="2016-01-01", n_views=10, user_mean_views=123.5, n_user_posts=99),
        post("2", posted_at="2016-01-02", n_views=20, user_mean_views=123.5, n_user_posts=99),
    ]
    row = features(spark, posts, "paper")["2"]
    assert (row["user_mean_views"], row["n_user_posts"]) == (123.5, 99.0)
    row = features(spark, posts, "point_in_time")["2"]
    assert (row["user_mean_views"], row["n_user_posts"]) == (10.0, 1.0)


@pytest.mark.parametrize("mode", ["paper", "point_in_time"])
def test_unknown_is_zero_never_null(spark: SparkSession, mode: str) -> None:
    posts = [post("1", posted_at=None), post("2", posted_at=None), post("3")]
    got = features(spark, posts, mode)
    assert all(row[name] is not None and math.isfinite(row[name]) for row in got.values() for name in SOCIAL_NAMES)
    assert all(got["1"][name] == 0.0 for name in SOCIAL_GROUPS["time"])
    assert got["1"]["n_user_posts"] == (3.0 if mode == "paper" else 0.0)
    assert got["3"]["n_user_posts"] == (3.0 if mode == "paper" else 0.0)  # what has no time is earlier than nothing


def test_posts_without_a_time_know_no_views(spark: SparkSession) -> None:
    posts = [post(str(i), posted_at=None, n_views=100) for i in range(3)]
    posts += [post("dated", n_views=7), post("after", posted_at="2016-03-02", n_views=7)]
    got = features(spark, posts, "point_in_time")
    assert {i: (row["user_rank"], row["user_mean_views"], row["n_user_posts"]) for i, row in got.items()} == {
        **dict.fromkeys("012", (0.0, 0.0, 0.0)),
        "dated": (0.0, 0.0, 0.0),
        "after": (0.0, 7.0, 1.0),
    }


def test_an_origin_s_views_do_not_depend_on_another_s(spark: SparkSession) -> None:
    """Two origins share a user id: each counts in its own unit."""
    posts = [
        post("1", origin="counted", posted_at="2016-01-01", n_views=8, popularity=9.0),
        post("2", origin="counted", posted_at="2016-02-01", popularity=9.0),
        post("3", origin="labelled", posted_at="2016-01-01", popularity=5.0),
        post("4", origin="labelled", posted_at="2016-02-01", popularity=9.0),
    ]
    got = features(spark, posts, "point_in_time")
    assert [got[i]["user_mean_views"] for i in "1234"] == [0.0, 8.0, 0.0, 16.0]
    assert [got[i]["user_rank"] for i in "1234"] == [0.0, 1.0, 0.0, 1.0]


def plan(rows: DataFrame) -> str:
    return str(rows._jdf.queryExecution().executedPlan().toString())


def test_no_user_is_one_task_s_work(spark: SparkSession) -> None:
    """Windows over posts are of a user's month, those over months have one row a month, the ranks one row a user.

    What goes through a shuffle by user only are the four columns that are added up by month.
    """
    text = plan(social_features(spark, table(spark, random_posts(seed=4)), "point_in_time"))
    windows = re.findall(r"windowspecdefinition\(([^()]*)", text)
    assert {tuple(re.findall(r"(\w+)#", window)) for window in windows} == {
        ("user_id", "origin", "month", "posted_us"),
        ("user_id", "origin", "month"),
        ("month", "origin", "mean_views", "user_id"),
    }
    lines = text.splitlines()
    shuffles = [i for i, line in enumerate(lines) if "hashpartitioning(user_id#" in line]
    by_user = [i for i in shuffles if re.search(r"partitioning\(user_id#\d+, origin#\d+, \d+\)", lines[i])]
    assert (len(shuffles), len(by_user)) == (3, 1)
    assert "post_id" not in lines[by_user[0] + 1]


def test_posts_are_never_shuffled_by_origin(spark: SparkSession) -> None:
    """There are as many tasks as origins in such a shuffle: what belongs to an origin is broadcast."""
    for mode in MODES:
        text = plan(social_features(spark, table(spark, random_posts(seed=4)), mode))
        assert "SortMergeJoin" not in text
        assert text.count("BroadcastHashJoin") == {"paper": 1, "point_in_time": 3}[mode]


def test_one_user_with_most_posts_of_one_month(spark: SparkSession) -> None:
    """More rows in one window than Spark keeps unspilled in its buffer (4,096), many of them at equal times."""
    n = 6000
    start = datetime(2016, 1, 1)
    posts = [post(str(i), posted_at=start + timedelta(minutes=i // 3), n_views=i) for i in range(n)]
    got = features(spark, posts, "point_in_time")
    for i in (0, 1, 2, 3, 4095, 4096, 4097, n - 1):
        earlier = i // 3 * 3
        assert got[str(i)]["n_user_posts"] == earlier
        assert got[str(i)]["user_mean_views"] == (pytest.approx((earlier - 1) / 2) if earlier else 0.0)


@pytest.mark.parametrize("ansi", ["true", "false"])
@pytest.mark.parametrize("mode", MODES)
def test_views_beyond_all_measure_are_unknown(spark: SparkSession, mode: str, ansi: str) -> None:
    """And overflow neither a cast nor a sum, which under ANSI would end the query."""
    before = spark.conf.get("spark.sql.ansi.enabled")
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        for name, beyond, known in (
            ("n_views", (8 * 10**18, 10**12 + 1), 10**12),
            ("popularity", (300.0, math.inf, math.nan, 30.5), 30.0),
        ):
            days = [f"2016-03-{day:02}T12:00" for day in range(1, 8)]
            first = post("first", posted_at=days[0], **{name: known})
            others = [post(f"p{n}", posted_at=days[1 + n], **{name: value}) for n, value in enumerate(beyond)]
            unknown = [{**other, name: None} for other in others]
            last = post("last", posted_at=days[-1])
            found = features(spark, [first, *others, last], mode)
            assert found == features(spark, [first, *unknown, last], mode)
            assert found["last"]["user_mean_views"] == (known if name == "n_views" else 2.0**29)
    finally:
        spark.conf.set("spark.sql.ansi.enabled", str(before))


def test_unknown_inputs_are_counted(spark: SparkSession) -> None:
    posts = [post("1", posted_at=None, n_views=1), post("2", title="x", hashtags=[], popularity=2.0), post("3")]
    assert count_unknown(spark, table(spark, posts)) == {
        "views": 1,
        "n_user_groups": 3,
        "user_mean_group_members": 3,
        "n_hashtags": 2,
        "n_title_chars": 2,
        "n_caption_chars": 3,
        "has_people": 3,
        "n_comments": 3,
        "posted_at": 1,
        "collected_at": 3,
    }


def test_collected_before_posted_is_no_exposure(spark: SparkSession) -> None:
    one = post("1", collected_at=datetime(2016, 1, 1, tzinfo=UTC).replace(tzinfo=None))
    assert features(spark, [one], "paper")["1"]["days_online"] == 0.0


def test_a_post_from_the_far_future_makes_no_snapshots_in_between(spark: SparkSession) -> None:
    posts = [post(str(i), f"u{i}", "2016-01-01", n_views=i) for i in range(5)]
    posts += [post("x", "u3", "2999-01-01", n_views=1)]
    assert features(spark, posts, "point_in_time")["x"]["user_rank"] == 4.0


@pytest.mark.parametrize("mode", ["paper", "point_in_time"])
def test_each_hour_weekday_and_month_sets_one_flag(spark: SparkSession, mode: str) -> None:
    start = datetime(2016, 1, 4)  # a Monday
    posts = [post(str(i), posted_at=start + timedelta(hours=31 * i)) for i in range(300)]
    got = features(spark, posts, mode)
    weekdays, months = SOCIAL_GROUPS["time"][:7], SOCIAL_GROUPS["time"][7:19]
    quarters = SOCIAL_GROUPS["time"][19:23]
    for one in posts:
        when, row = one["posted_at"], got[one["post_id"]]
        assert [row[n] for n in weekdays].index(1.0) == when.weekday()
        assert [row[n] for n in months].index(1.0) == when.month - 1
        assert [row[n] for n in quarters].index(1.0) == when.hour // 6
        assert sum(row[n] for n in weekdays + months + quarters) == 3.0


def test_the_34_are_those_of_the_paper() -> None:
    assert [len(names) for names in SOCIAL_GROUPS.values()] == [5, 5, 24]
    assert len(set(SOCIAL_NAMES)) == 34
    assert tuple(SOCIAL_FEATURES.columns) == ("post_id", "mode", *SOCIAL_NAMES)


@pytest.mark.parametrize("mode", ["paper", "point_in_time"])
def test_output_is_the_declared_table(spark: SparkSession, mode: str) -> None:
    rows = social_features(spark, table(spark, [post("1")]), mode)
    assert validate(rows, SOCIAL_FEATURES, "test").columns == list(SOCIAL_FEATURES.columns)


def test_unknown_mode_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ConfigError) as caught:
        social_features(spark, table(spark, [post("1")]), "point-in-time")
    assert str(caught.value) == (
        "Unknown mode of the social features.\n  where: mode\n  got: 'point-in-time'\n"
        "  legal: paper, point_in_time\n  fix: Did you mean 'point_in_time'?"
    )
