"""The 34 social values of a post: posts to social features, as published or point in time.

| value | `paper` (VSCNN, section III-B) | `point_in_time` |
|---|---|---|
| user_rank | 1.. by average views over the origin's users, ties by id | the same at the start of the post's month |
| user_mean_views | stated by the origin, else over all posts of the user | over the user's strictly earlier posts |
| n_user_groups, user_mean_group_members | as stated for the user (the largest) | as stated with the post |
| n_user_posts | stated by the origin, else all posts of the user | the user's strictly earlier posts |
| n_hashtags, n_title_chars, n_caption_chars, has_people | of the post | the same |
| n_comments | as collected | 0: nobody has commented on what is just going up |
| weekday, month, quarter of the day | one-hot, of posted_at in UTC | the same |
| days_online | collected_at - posted_at, not below 0 | the same: it is the exposure that the label divides by |

`paper` knows the views that a model is asked to predict, since they are part of the user's average and rank.
`point_in_time` does not; what remains in it is that the counts of the earlier posts are those at collection, and that
groups and members are as stated at collection, for no origin has their history.

A user is (origin, user_id), and ranks are within an origin. Views are n_views where the origin has them; for an origin
without any (SMP ships the label only) they are views per day, 2^(popularity - 1).

Unknown inputs, none of them silent (`count_unknown` counts them):
- views above 10^12, and a popularity that is NaN or above 30 (5 * 10^8 views a day), are unknown views;
- an unknown count or length, and days online without both times: 0;
- an average without any known views: 0, with rank 0. In `point_in_time` that is the cold start: a user's first post
  has rank 0, average 0 and 0 earlier posts, which no other post has. The rank stays 0 until the month after the
  user's first known views;
- unknown posted_at: no weekday, month or quarter flag is set, and in `point_in_time` the post counts as a cold start
  and as earlier than none.
"""

from __future__ import annotations

from typing import get_args

from pyspark.sql import DataFrame, SparkSession

from popspark.posts.settings import SocialMode
from popspark.runtime.errors import unknown
from popspark.runtime.queries import load_sql
from popspark.storage.tables import SOCIAL_FEATURES

MODES: tuple[SocialMode, ...] = get_args(SocialMode)


def social_features(spark: SparkSession, posts: DataFrame, mode: str) -> DataFrame:
    """One row per post: `popspark.storage.tables.SOCIAL_FEATURES`. mode: one of `MODES`.

    Raises `ConfigError` for any other mode.
    """
    if mode not in MODES:
        raise unknown("mode of the social features", mode, MODES, where="mode")
    inputs = spark.sql(load_sql(__package__, "social_inputs"), posts=posts)
    values = spark.sql(load_sql(__package__, f"user_values_{mode}"), inputs=inputs)
    features = spark.sql(load_sql(__package__, "social_features"), args={"mode": mode}, values=values)
    return features.select(*SOCIAL_FEATURES.columns)


def count_unknown(spark: SparkSession, posts: DataFrame) -> dict[str, int]:
    """How many posts lack each input, and so have 0 in its place; by input, also where it is none."""
    return dict(spark.sql(load_sql(__package__, "unknown_inputs"), posts=posts).collect()[0].asDict())
