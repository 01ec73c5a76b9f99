"""Splits: shares, determinism, groups, and each leak."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from math import sqrt
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from popspark.posts.splits import assign_splits, check_leaks
from popspark.runtime.errors import ConfigError, LeakError

N = 2000
START = datetime(2016, 1, 1)
SCHEMA = "post_id string, origin string, user_id string, posted_at timestamp, image_id string"


def post_rows(n: int = N, n_images: int = N) -> list[tuple[Any, ...]]:
    """n posts of n / 5 users, one every 20 minutes; post i shows image i modulo n_images."""
    return [
        (f"p{i}", "test", f"u{i % (n // 5)}", START + timedelta(minutes=20 * i), f"i{i % n_images}") for i in range(n)
    ]


def table(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    return spark.createDataFrame(rows, SCHEMA)


def images(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    ids = sorted({row[4] for row in rows})
    return spark.createDataFrame([(i, f"sha of {i}") for i in ids], "image_id string, sha256 string")


def split_of(spark: SparkSession, rows: list[tuple[Any, ...]], strategy: str, **options: Any) -> dict[str, str]:
    options = {"seed": 1, "images": None, "feature_mode": "point_in_time", **options}
    assigned = assign_splits(table(spark, rows), strategy, **options)
    assert assigned.columns == ["post_id", "split"]
    found = {row.post_id: row.split for row in assigned.collect()}
    assert set(found) == {row[0] for row in rows}
    return found


def test_random_meets_the_fractions_and_depends_on_id_and_seed_only(spark: SparkSession) -> None:
    rows = post_rows()
    first = split_of(spark, rows, "random", images=images(spark, rows))
    counts = Counter(first.values())
    for name, share in (("train", 0.6), ("valid", 0.2), ("test", 0.2)):
        assert abs(counts[name] - N * share) < 4 * sqrt(N * share * (1 - share))
    some = rows[::-3]
    assert split_of(spark, some, "random") == {row[0]: first[row[0]] for row in some}
    other = split_of(spark, rows, "random", seed=2)
    agreement = sum(other[i] == first[i] for i in first) / N
    assert abs(agreement - (0.36 + 0.04 + 0.04)) < 0.05  # what independent draws give


def test_by_user_keeps_each_user_whole(spark: SparkSession) -> None:
    rows = post_rows()
    found = split_of(spark, rows, "by_user")
    users = {(row[2], found[row[0]]) for row in rows}
    assert len(users) == N // 5
    assert set(Counter(split for _, split in users)) == {"train", "valid", "test"}


def test_chronological_cuts_between_hours(spark: SparkSession) -> None:
    rows = [*post_rows(), ("timeless", "test", "u0", None, "none")]
    found = split_of(spark, rows, "chronological")
    assert found.pop("timeless") is None
    latest = {name: max(r[3] for r in rows[:-1] if found[r[0]] == name) for name in ("train", "valid", "test")}
    earliest = {name: min(r[3] for r in rows[:-1] if found[r[0]] == name) for name in ("train", "valid", "test")}
    assert latest["train"] < earliest["valid"]
    assert latest["valid"] < earliest["test"]
    assert Counter(found.values()) == {"train": 1200, "valid": 402, "test": 398}  # 1600 lies within an hour of 3
    assert {earliest[n].minute for n in earliest} == {0}


def test_posts_of_one_image_in_two_splits_raise(spark: SparkSession) -> None:
    rows = post_rows(400, n_images=200)
    blind = split_of(spark, rows, "random")
    leaks = [i for i in range(200) if blind[f"p{i}"] != blind[f"p{i + 200}"]]
    with pytest.raises(LeakError) as caught:
        split_of(spark, rows, "random", images=images(spark, rows))
    assert str(caught.value) == (
        f"{len(leaks)} images stand in two splits: the same file, by sha256, under several posts.\n"
        f"  where: split strategy random\n  got: {min(f'sha of i{i}' for i in leaks)}, for one\n"
        "  fix: use group_by=sha256, or keep one post per image before splitting"
    )


def test_images_can_be_kept_together(spark: SparkSession) -> None:
    rows = [*post_rows(1000, n_images=100), ("no image", "test", "u", START, None)]
    found = split_of(spark, rows, "random", images=images(spark, post_rows(1000, 100)), group_by="sha256")
    assert len({(row[4], found[row[0]]) for row in rows}) == 101
    assert set(found.values()) == {"train", "valid", "test"}


@pytest.mark.parametrize("strategy", ["chronological", "by_user"])
def test_image_leaks_raise_in_every_strategy(spark: SparkSession, strategy: str) -> None:
    rows = post_rows(1000, n_images=100)
    with pytest.raises(LeakError, match=r"^\d+ images stand in two splits") as caught:
        split_of(spark, rows, strategy, images=images(spark, rows))
    assert str(caught.value).endswith("  fix: use group_by=sha256, or keep one post per image before splitting")


@pytest.mark.parametrize("strategy", ["chronological", "by_user"])
def test_an_image_keeps_its_posts_of_one_split_only(spark: SparkSession, strategy: str) -> None:
    rows = post_rows(1000, n_images=100)
    plain = split_of(spark, rows, strategy)
    found = split_of(spark, rows, strategy, images=images(spark, rows), group_by="sha256")
    kept: dict[str, set[str]] = {}
    for row in rows:
        if found[row[0]] is not None:
            assert found[row[0]] == plain[row[0]]
            kept.setdefault(row[4], set()).add(found[row[0]])
    assert all(len(splits) == 1 for splits in kept.values())
    assert len(kept) == len({row[4] for row in rows})
    assert set.union(*kept.values()) == {"train", "valid", "test"}


def test_an_image_of_one_post_loses_nothing(spark: SparkSession) -> None:
    rows = post_rows(300)
    found = split_of(spark, rows, "by_user", images=images(spark, rows), group_by="sha256")
    assert found == split_of(spark, rows, "by_user")


def test_paper_features_with_a_chronological_split_raise(spark: SparkSession) -> None:
    with pytest.raises(LeakError) as caught:
        split_of(spark, post_rows(), "chronological", feature_mode="paper")
    assert str(caught.value) == (
        "Social features of mode paper know the views of later posts, which a chronological split tests on.\n"
        "  where: split strategy chronological\n  got: feature mode paper\n  legal: point_in_time\n"
        "  fix: compute the social features with mode=point_in_time, or split at random as the paper does"
    )


def test_a_user_in_two_splits_raises(spark: SparkSession) -> None:
    assigned = spark.createDataFrame(
        [("a", "test", "u", None, "train"), ("b", "test", "u", None, "test"), ("c", "other", "u", None, "test")],
        "post_id string, origin string, user_id string, sha256 string, split string",
    )
    with pytest.raises(LeakError) as caught:
        check_leaks(assigned, "by_user", "paper")
    assert str(caught.value) == (
        "1 users have posts in two splits.\n  where: split strategy by_user\n  got: test/u, for one\n"
        "  fix: assign the splits again from all posts at once"
    )
    check_leaks(assigned, "random", "paper")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"strategy": "by-user"},
            "Unknown split strategy.\n  where: split strategy\n  got: 'by-user'\n"
            "  legal: random, chronological, by_user\n  fix: Did you mean 'by_user'?",
        ),
        (
            {"strategy": "by_user", "group_by": "sha256"},
            "Posts can be grouped by image with the images table only.\n  where: group_by",
        ),
        (
            {"rows": post_rows(5)[:1]},
            "A split is empty.\n  got: train 1, valid 0, test 0\n  fix: use more posts or users, or another seed",
        ),
    ],
)
def test_bad_configuration_is_refused(spark: SparkSession, options: dict[str, Any], message: str) -> None:
    options = {"rows": post_rows(5), "strategy": "random", **options}
    with pytest.raises(ConfigError) as caught:
        split_of(spark, options.pop("rows"), options.pop("strategy"), **options)
    assert str(caught.value) == message
