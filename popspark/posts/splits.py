"""Splits for training: posts to (post_id, split), split one of train, valid, test; and the checks for leaks.

| strategy | train / valid / test |
|---|---|
| `random` | each post by the hash of its id (VSCNN: 60/20/20) |
| `chronological` | the earliest posts, the next, the latest; cut between two UTC hours |
| `by_user` | each user, with all posts, by the hash of (origin, user_id) |

Hashed shares are met in expectation: of n groups, a share p is off by about sqrt(p (1 - p) / n). Nothing depends on
the order of rows, their partitioning, or which other posts are in the table (`chronological` moves its cuts).

group_by "sha256" keeps all posts of one image in one split. `random` draws the split by the image instead of the post.
In `chronological` and `by_user` the post's time or user has decided; of the splits that an image stands in, the hash
draws one, and its posts in the others have a null split: they are left out. An image of one post loses nothing.

A model that sees at fitting what it is tested on looks better than it is, so these raise `LeakError`:
- the same image, by the sha256 of its file, in two splits;
- social features of mode `paper` with a chronological split: they average over the test posts' views;
- a user in two splits of `by_user`.
"""

from __future__ import annotations

from typing import get_args

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from popspark.posts.settings import SocialMode, SplitGroup, SplitStrategy
from popspark.runtime.errors import ConfigError, LeakError, unknown
from popspark.runtime.queries import load_sql
from popspark.storage.examples import SPLITS

STRATEGIES: tuple[SplitStrategy, ...] = get_args(SplitStrategy)
UNTIL = {"train_until": 0.6, "valid_until": 0.8}
"""VSCNN's shares, 60/20/20, as the SQL takes them."""


def _check_choice(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise unknown(name, value, legal, where=name)


def assign_splits(
    rows: DataFrame,
    strategy: str,
    seed: int,
    *,
    images: DataFrame | None,
    feature_mode: str,
    group_by: str | None = None,
) -> DataFrame:
    """One row per row of `rows`: post_id, split. Runs the leak checks, so it computes `rows` before it returns.

    rows: posts, or what is left of them (post_id, origin, user_id, posted_at, image_id).
    images: image_id and sha256, for the check of images; None leaves that check out. A post whose image has no
        sha256 (none, or not read) is alone in its group.
    feature_mode: of the social features that will go with the split: `paper` or `point_in_time`.
    group_by: "sha256", see above; needs images.

    A post without posted_at has no place in time: its split is null in `chronological`.
    Raises `ConfigError` for an unknown name and where a split stays empty; `LeakError` as the module says.
    """
    _check_choice("split strategy", strategy, STRATEGIES)
    _check_choice("mode of the social features", feature_mode, get_args(SocialMode))
    if group_by is not None:
        _check_choice("group of a split", group_by, get_args(SplitGroup))
        if images is None:
            raise ConfigError("Posts can be grouped by image with the images table only.", where="group_by")
    with_image = _with_sha256(rows, images)
    if strategy == "chronological":
        assigned = rows.sparkSession.sql(load_sql(__package__, "splits_chronological"), args=UNTIL, rows=with_image)
    else:
        keys = {
            "random": F.coalesce("sha256", "post_id") if group_by else F.col("post_id"),
            "by_user": F.concat_ws("/", "origin", "user_id"),
        }
        keyed = with_image.withColumn("split_key", keys[strategy])
        assigned = rows.sparkSession.sql(
            load_sql(__package__, "splits_hashed"), args={"seed": seed, **UNTIL}, rows=keyed
        )
    if group_by and strategy != "random":
        assigned = assigned.sparkSession.sql(
            load_sql(__package__, "splits_by_image"), args={"seed": seed}, assigned=assigned
        )
    check_leaks(assigned, strategy, feature_mode)
    _check_none_empty(assigned)
    return assigned.select("post_id", "split")


def _with_sha256(rows: DataFrame, images: DataFrame | None) -> DataFrame:
    slim = rows.select("post_id", "origin", "user_id", "posted_at", "image_id")
    if images is None:
        return slim.withColumn("sha256", F.lit(None).cast("string"))
    hashes = images.groupBy("image_id").agg(F.max("sha256").alias("sha256"))
    return slim.join(hashes, "image_id", "left")


def _in_two_splits(assigned: DataFrame, *keys: str) -> tuple[int, str]:
    """How many values of the key stand in two splits, and the first of them."""
    spread = (
        assigned.dropna(subset=[*keys, "split"])
        .groupBy(*keys)
        .agg(F.count_distinct("split").alias("n_splits"))
        .where("n_splits > 1")
    )
    found = spread.agg(F.count("*").alias("n"), F.min(F.concat_ws("/", *keys)).alias("first")).collect()[0]
    return found.n, found["first"]


def check_leaks(assigned: DataFrame, strategy: str, feature_mode: str) -> None:
    """Raises `LeakError` where the splits leak. assigned: post_id, origin, user_id, sha256 and split."""
    if strategy == "chronological" and feature_mode == "paper":
        raise LeakError(
            "Social features of mode paper know the views of later posts, which a chronological split tests on.",
            where="split strategy chronological",
            got="feature mode paper",
            legal="point_in_time",
            fix="compute the social features with mode=point_in_time, or split at random as the paper does",
        )
    if strategy == "by_user":
        n_users, user = _in_two_splits(assigned, "origin", "user_id")
        if n_users:
            raise LeakError(
                f"{n_users} users have posts in two splits.",
                where="split strategy by_user",
                got=f"{user}, for one",
                fix="assign the splits again from all posts at once",
            )
    n_images, sha256 = _in_two_splits(assigned, "sha256")
    if n_images:
        fix = "keep one post per image before splitting"
        raise LeakError(
            f"{n_images} images stand in two splits: the same file, by sha256, under several posts.",
            where=f"split strategy {strategy}",
            got=f"{sha256}, for one",
            fix=f"use group_by=sha256, or {fix}",
        )


def _check_none_empty(assigned: DataFrame) -> None:
    counts = {row.split: row["count"] for row in assigned.groupBy("split").count().collect()}
    if any(not counts.get(name) for name in SPLITS):
        raise ConfigError(
            "A split is empty.",
            got=", ".join(f"{name} {counts.get(name, 0)}" for name in SPLITS),
            fix="use more posts or users, or another seed",
        )
