"""Posts, what of an export could not become one, and what a model learns of them."""

from __future__ import annotations

from pyspark.sql import types as t

from popspark.storage.schemas.table import (
    BOOLEAN,
    DOUBLE,
    FLOATS,
    LONG,
    STRING,
    STRINGS,
    TEXT_BY_NAME,
    TIMESTAMP,
    Table,
)
from popspark.storage.social_values import SOCIAL_NAMES

POSTS = Table(
    "posts",
    {
        "post_id": STRING,
        "user_id": STRING,
        "posted_at": TIMESTAMP,
        "collected_at": TIMESTAMP,
        "title": STRING,
        "caption": STRING,
        "hashtags": STRINGS,
        "mentions": STRINGS,
        "n_title_chars": LONG,  # own columns, since SMP-T1 has the lengths and counts but not the text
        "n_caption_chars": LONG,
        "n_hashtags": LONG,
        "has_people": BOOLEAN,
        "n_views": LONG,
        "n_likes": LONG,
        "n_shares": LONG,
        "n_comments": LONG,
        "user_mean_views": DOUBLE,  # user-side values, as the origin states them
        "n_user_groups": LONG,
        "user_mean_group_members": DOUBLE,
        "n_user_posts": LONG,
        "image_id": STRING,  # path or URL; the key into images
        "n_media": LONG,
        "media_type": STRING,
        "popularity": DOUBLE,  # the label, where the origin ships one
        "origin": STRING,
        "is_simulated": BOOLEAN,
        "extra": TEXT_BY_NAME,  # what else the origin gives
    },
    key=("post_id",),
    required=("user_id", "origin", "is_simulated"),
)

REJECTS = Table(
    "rejects",  # what of an export could not become a post, and why
    {"origin": STRING, "file": STRING, "line": LONG, "reason": STRING, "raw": STRING},
    key=(),
    required=("origin", "file", "line", "reason", "raw"),
)

SOCIAL_FEATURES = Table(
    "social_features",
    {"post_id": STRING, "mode": STRING, **dict.fromkeys(SOCIAL_NAMES, DOUBLE)},
    key=("post_id",),
    required=("mode", *SOCIAL_NAMES),
)

EXAMPLES = Table(
    "examples",  # the training table: the only thing between Spark and torch
    {
        "post_id": STRING,
        "user_id": STRING,
        "split": STRING,
        "label": t.FloatType(),
        "visual": FLOATS,
        "social": FLOATS,
    },
    key=("post_id",),
    required=("user_id", "split", "label", "visual", "social"),
    partitioned_by=("split",),
)
