"""Pairs against the brute force of tests/references/pairs.py, on tables made of edge cases."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from popspark.pairs.pairing import audit_pairs, generate_pairs, normalize_tag, pair_posts
from popspark.pairs.settings import PairRules, preset_rules
from popspark.storage.tables import PAIR_AUDIT, PAIR_POSTS, PAIRS, POSTS
from tests.references import pairs as oracle

START = datetime(2020, 3, 1, 12)
DAYS = [0.0, 0.0, 1.0, 3.5, 9.999, 10.0, 10.0 + 1e-6 / 86400, 12.0, 19.9, 20.0, 31.0]
TAGS = [
    "Sun",
    "#sun",
    "ＳＵＮ",
    "sea",
    "SEA ",
    "straße",
    "STRASSE",
    "caf\u00e9",
    "cafe\u0301",
    "#CAFÉ",
    "İzmir",
    "",
    "#",
]
CAPTIONS = [
    "",
    "one",
    "one two  three",
    "a b c d e f",
    "a b c d e f g",
    "#sun @bob a b c d e f",
    "　全 角　",
    "a\nb\tc",
]


def post(post_id: str, **values: Any) -> dict[str, Any]:
    """A post that may pair under either preset, with `values` in place of its own."""
    blank = dict.fromkeys(POSTS.columns)
    base = {"user_id": "u", "origin": "x_api", "is_simulated": True, "posted_at": START, "caption": "one two"}
    base |= {"hashtags": ["sun"], "mentions": [], "n_shares": 30, "n_likes": 100, "n_media": 1}
    base |= {"collected_at": START + timedelta(days=90), "image_id": f"{post_id}.jpg"}
    return {**blank, **base, "post_id": post_id, **values}


def random_posts(seed: int, n_users: int, n_posts: int) -> list[dict[str, Any]]:
    """Small users full of edge cases; ids in no order of time. A tenth of each column cannot be used."""
    draw = random.Random(seed)

    def one_of(usable: list[Any], unusable: list[Any]) -> Any:
        return draw.choice(unusable if draw.random() < 0.1 else usable)

    posts = []
    for i in draw.sample(range(n_users * n_posts), n_users * n_posts):
        posted_at = one_of([START + timedelta(days=days) for days in DAYS], [None])
        many = draw.choices([*TAGS, None], k=draw.randrange(1, 6))
        very_many = [f"t{n}" for n in draw.sample(range(40), draw.randrange(5, 13))]
        posts.append(
            post(
                f"p{i:05d}",
                user_id=f"u{draw.randrange(n_users)}",
                origin=draw.choice(["x_api", "x_api", "flickr"]),
                posted_at=posted_at,
                collected_at=one_of([START + timedelta(days=90)], [None, START + timedelta(days=35)]),
                caption=one_of(CAPTIONS, [None]),
                hashtags=one_of([["sun"], ["#Sun", None], ["ＳＵＮ", "sun"], many, very_many], [None, [], [None]]),
                mentions=one_of([[], [], ["@Bob"], ["bob", "ＢＯＢ"]], [None]),
                n_shares=one_of([0, 0, 1, 20, 21, 21, 50], [None, -1]),
                n_likes=one_of([50, 50, 100, 101, 500, 10**12], [None, -5, 0, 49]),
                n_media=one_of([1], [None, 0, 2]),
                image_id=draw.choice([None, f"{i}.jpg", f"{i}.jpg", f"{i % 40}.jpg"]),
            )
        )
    return posts


def table(spark: SparkSession, posts: list[dict[str, Any]]) -> DataFrame:
    nullable = POSTS.schema
    for field in nullable.fields:
        field.nullable = True
    return spark.createDataFrame([tuple(p[name] for name in POSTS.columns) for p in posts], nullable)


def paired(spark: SparkSession, posts: list[dict[str, Any]], rules: PairRules, preset: str) -> tuple[list, list, dict]:
    """Pairs, audit lines and post hashes."""
    rows = pair_posts(table(spark, posts), rules).localCheckpoint()
    assert rows.columns == list(PAIR_POSTS.columns)
    pairs = generate_pairs(rows, rules, preset).localCheckpoint()
    assert pairs.columns == list(PAIRS.columns)
    audit = audit_pairs(rows, pairs, rules, preset).orderBy("position")
    assert audit.columns == list(PAIR_AUDIT.columns)
    return pairs.collect(), audit.collect(), {row.post_id: row.post_hash for row in rows.collect()}


def edges(pairs: list) -> set[tuple[str, str]]:
    found = {(row.post_id_l, row.post_id_r) for row in pairs}
    assert len(found) == len(pairs)
    assert all(left < right for left, right in found)
    return found


CASES = {
    "twitter": ("twitter", {}),
    "twitter, all strict, base 10": ("twitter", {"strict_share": 1, "max_word_difference": None, "log_base": 10}),
    "twitter, any hashtag, likes, half a day": (
        "twitter",
        {"shares_weight": 0, "likes_weight": 1, "max_days": 0.5, "hashtags": "any", "strict_share": 0},
    ),
    "ding, before matching": ("ding", {"each_image_once": False}),
    "ding, lenient": ("ding", {"min_likes": 0, "min_age_days": 0, "one_image": False, "each_image_once": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_pairs_as_by_brute_force(spark: SparkSession, case: str) -> None:
    preset, overrides = CASES[case]
    rules = preset_rules(preset, **overrides)
    posts = random_posts(len(case), n_users=8, n_posts=60)
    pairs, audit, hashes = paired(spark, posts, rules, preset)
    expected = oracle.all_pairs(posts, rules, hashes)
    assert edges(pairs) == set(expected)
    assert len(pairs) > 20  # or the test says nothing

    by_id = {p["post_id"]: p for p in posts}
    for row in pairs:
        l, r = by_id[row.post_id_l], by_id[row.post_id_r]  # noqa: E741
        assert row.user_id == l["user_id"] == r["user_id"]
        assert (row.popularity_l, row.popularity_r) == (oracle.popularity(l, rules), oracle.popularity(r, rules))
        assert row.margin == pytest.approx(oracle.log_popularity(l, rules) - oracle.log_popularity(r, rules))
        assert row.probability == pytest.approx(oracle.probability(l, r, rules), abs=1e-7)
        is_strict = oracle.draws(l, r, hashes)[0] < rules.strict_share
        assert row.rule == (f"{preset}_strict" if is_strict else preset)

    eligible = {p["post_id"] for p in posts if oracle.is_eligible(p, rules)}
    of_posts = [line for line in audit if line.of == "posts"]
    of_pairs = [line for line in audit if line.of == "pairs"]
    assert (of_posts[0].n_before, of_posts[-1].n_after) == (len(posts), len(eligible))
    assert of_pairs[-1].n_after == len(pairs)
    for lines in (of_posts, of_pairs):
        assert all(line.n_before - line.n_removed == line.n_after and line.n_removed >= 0 for line in lines)
        assert all(a.n_after == b.n_before for a, b in pairwise(lines))


def test_a_third_falls_under_the_stricter_rule(spark: SparkSession) -> None:
    posts = [post(f"p{i:03d}", n_likes=i, n_shares=100 + i) for i in range(120)]  # all pairs satisfy it
    pairs, _, _ = paired(spark, posts, preset_rules("twitter"), "twitter")
    assert len(pairs) == 120 * 119 // 2
    strict = sum(row.rule == "twitter_strict" for row in pairs) / len(pairs)
    assert abs(strict - 1 / 3) < 4 * (2 / 9 / len(pairs)) ** 0.5


def test_each_image_once_is_the_greedy_matching(spark: SparkSession) -> None:
    rules = preset_rules("ding", min_age_days=0)
    posts = random_posts(7, n_users=6, n_posts=80)
    pairs, audit, hashes = paired(spark, posts, rules, "ding")
    candidates = oracle.all_pairs(posts, rules, hashes)
    assert edges(pairs) == oracle.greedy_matching(candidates)
    assert len(pairs) > 20
    images = [
        p["image_id"] or p["post_id"] for p in posts if p["post_id"] in {i for pair in edges(pairs) for i in pair}
    ]
    assert len(images) == len(set(images)) == 2 * len(pairs)
    last = audit[-1]
    assert (last.rule, last.n_removed, last.n_after) == ("each_image_once", len(candidates) - len(pairs), len(pairs))


def test_the_cap_keeps_the_smallest_draws_of_each_user(spark: SparkSession) -> None:
    rules = preset_rules("twitter", max_pairs_per_user=7)
    posts = random_posts(3, n_users=5, n_posts=60)
    pairs, audit, hashes = paired(spark, posts, rules, "twitter")
    candidates = oracle.all_pairs(posts, rules, hashes)
    user = {p["post_id"]: (p["origin"], p["user_id"]) for p in posts}
    expected = set()
    for key in set(user.values()):
        own = sorted((order, pair) for pair, order in candidates.items() if user[pair[0]] == key)
        expected |= {pair for _, pair in own[:7]}
    assert edges(pairs) == expected
    cap = next(line for line in audit if line.rule == "max_pairs_per_user")
    assert cap.n_removed == len(candidates) - len(expected) > 0


def test_without_caps_all_pairs_stay(spark: SparkSession) -> None:
    rules = preset_rules("twitter", max_candidates_per_user=None, max_pairs_per_user=None)
    posts = random_posts(3, n_users=5, n_posts=60)
    pairs, audit, hashes = paired(spark, posts, rules, "twitter")
    assert edges(pairs) == set(oracle.all_pairs(posts, rules, hashes))
    lines = {line.rule: line for line in audit}
    assert lines["max_candidates_per_user"].n_removed == 0 < lines["max_candidates_per_user"].n_after
    assert lines["max_pairs_per_user"].n_removed == 0 < lines["max_pairs_per_user"].n_after == len(pairs)


def test_of_a_duplicated_id_the_newest_counts_stay(spark: SparkSession) -> None:
    later = START + timedelta(days=91)
    posts = [
        post("a", n_likes=50, collected_at=None),
        post("a", n_likes=60),
        post("a", n_likes=70, collected_at=later),
        post("b", n_likes=1000),
        post("b", n_likes=1000),
    ]
    pairs, audit, _ = paired(spark, posts, preset_rules("twitter", strict_share=0), "twitter")
    assert [(row.post_id_l, row.post_id_r, row.popularity_l) for row in pairs] == [("a", "b", 0.7 * 30 + 0.3 * 70)]
    assert (audit[0].rule, audit[0].n_before, audit[0].n_removed, audit[0].n_after) == ("unique_post_id", 5, 3, 2)


def test_copies_that_differ_in_where_a_null_stands_are_told_apart(spark: SparkSession) -> None:
    """A hash of such columns would be the same for both, and chance would choose."""
    copies = [post("a", n_shares=None, n_likes=5), post("a", n_shares=5, n_likes=None)]
    rules = preset_rules("twitter", strict_share=0, shares_weight=0, likes_weight=1)
    kept = []
    for order in (copies, copies[::-1]):
        rows = pair_posts(table(spark, order).coalesce(1), rules)
        (row,) = rows.where("coalesce(removed_by, '') <> 'unique_post_id'").collect()
        kept.append((row.n_shares, row.popularity))
    assert kept[0] == kept[1]


def test_ten_days_are_within_and_a_microsecond_more_is_not(spark: SparkSession) -> None:
    ten = START + timedelta(days=10)
    posts = [
        post("a", n_likes=1),
        post("b", n_likes=2, posted_at=ten),
        post("c", n_likes=3, posted_at=ten + timedelta(microseconds=1)),
        post("d", n_likes=4),  # at the same moment as a
    ]
    pairs, _, _ = paired(spark, posts, preset_rules("twitter", strict_share=0), "twitter")
    assert edges(pairs) == {("a", "b"), ("a", "d"), ("b", "c"), ("b", "d")}


def test_before_1970_the_buckets_stay_in_order(spark: SparkSession) -> None:
    posts = [
        post(f"p{i}", n_likes=i, posted_at=datetime(1970, 1, 1) + timedelta(days=d))
        for i, d in enumerate((-14, -6, 3, 9))
    ]
    pairs, _, _ = paired(spark, posts, preset_rules("twitter", strict_share=0), "twitter")
    assert edges(pairs) == {("p0", "p1"), ("p1", "p2"), ("p2", "p3")}


def test_a_heavy_user_is_thinned_before_the_join_and_the_others_are_not(spark: SparkSession) -> None:
    rules = preset_rules("twitter", strict_share=0, max_candidates_per_user=2000)
    heavy = [post(f"h{i:04d}", user_id="heavy", n_likes=i) for i in range(1000)]
    light = [post(f"l{i:04d}", user_id="light", n_likes=i) for i in range(60)]
    pairs, audit, _ = paired(spark, heavy + light, rules, "twitter")
    again, _, _ = paired(spark, (heavy + light)[::-1], rules, "twitter")
    assert edges(pairs) == edges(again)
    n_light = sum(row.user_id == "light" for row in pairs)
    n_heavy = len(pairs) - n_light
    assert n_light == 60 * 59 // 2
    assert 1000 < n_heavy < 3500  # expected 2000; the posts kept are binomial with deviation 8 around 63
    thinned = next(line for line in audit if line.rule == "max_candidates_per_user")
    assert thinned.n_removed > 900


@pytest.mark.slow
def test_a_user_with_100_000_posts(spark: SparkSession) -> None:
    """Five thousand million possible pairs, all in one window of ten days: bounded by the caps, beside a light user."""
    columns = {
        "post_id": "format_string('p%06d', id)",
        "user_id": "if(id < 100000, 'heavy', 'light')",
        "posted_at": "timestamp'2020-03-01' + make_dt_interval(0, 0, 0, id % 800000)",
        "image_id": "concat(id, '.jpg')",
        "n_likes": "id",
        "n_shares": "50L",
        "caption": "'one two'",
        "hashtags": "array('sun')",
        "mentions": "array()",
        "origin": "'x_api'",
        "is_simulated": "true",
    }
    exprs = [f"CAST({columns.get(n, 'NULL')} AS {k.simpleString()}) AS {n}" for n, k in POSTS.columns.items()]
    posts = spark.range(100_040).selectExpr(*exprs)
    rules = preset_rules("twitter", strict_share=0, max_candidates_per_user=400_000, max_pairs_per_user=100_000)
    rows = pair_posts(posts, rules).localCheckpoint()
    pairs = generate_pairs(rows, rules, "twitter").localCheckpoint()
    counts = {row.user_id: row["count"] for row in pairs.groupBy("user_id").count().collect()}
    assert counts == {"heavy": 100_000, "light": 40 * 39 // 2}
    assert pairs.select("post_id_l", "post_id_r").distinct().count() == sum(counts.values())


def test_splits_are_by_user_and_the_same_as_those_of_posts(spark: SparkSession) -> None:
    from popspark.posts.splits import assign_splits

    posts = [post(f"p{i:04d}", user_id=f"u{i % 60}", n_likes=i) for i in range(300)]
    rules = preset_rules("twitter", strict_share=0, seed=5)
    pairs, _, _ = paired(spark, posts, rules, "twitter")
    assigned = assign_splits(table(spark, posts), "by_user", 5, images=None, feature_mode="point_in_time").collect()
    of_post = {row.post_id: row.split for row in assigned}
    assert {row.split for row in pairs} == {"train", "valid", "test"}
    assert all(of_post[row.post_id_l] == of_post[row.post_id_r] == row.split for row in pairs)


def test_an_empty_table_gives_no_pairs_and_a_whole_audit(spark: SparkSession) -> None:
    for preset in ("twitter", "ding"):
        pairs, audit, _ = paired(spark, [], preset_rules(preset), preset)
        assert pairs == []
        assert {line.n_before for line in audit} == {0}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("#Sun", "sun"),
        ("ＳＵＮ", "sun"),
        ("STRASSE", "straße"),
        ("caf\u00e9", "CAFE\u0301"),
        ("@Bob ", "bob"),
        ("ﬁn", "FIN"),
    ],
)
def test_forms_of_one_tag(one: str, other: str) -> None:
    assert normalize_tag(one) == normalize_tag(other)
