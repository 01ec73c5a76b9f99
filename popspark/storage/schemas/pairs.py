"""Pairs of posts, from the rules to what a ranker is trained on."""

from __future__ import annotations

from pyspark.sql import types as t

from popspark.storage.schemas.table import BINARY, DOUBLE, INT, LONG, STRING, Table

PAIR_POSTS = Table(
    "pair_posts",  # the posts table as the pair rules see it, row by row
    {
        "post_id": STRING,
        "user_id": STRING,
        "user_key": STRING,  # with the origin
        "image_id": STRING,
        "posted_us": LONG,  # microseconds since 1970
        "bucket": LONG,  # of half of max_days
        "tags": t.ArrayType(LONG),  # hashes of the hashtags
        "tag_mask": LONG,
        "match_key": LONG,  # of the user and what must be identical
        "n_words": INT,
        "n_shares": LONG,
        "popularity": DOUBLE,
        "log_popularity": DOUBLE,
        "post_hash": LONG,  # uniform in [0, 2^31 - 1)
        "split": STRING,
        "removed_by": STRING,  # null where the post may pair
    },
    key=("post_id",),  # where removed_by is null
    required=("user_id", "user_key", "split"),
)

PAIRS = Table(
    "pairs",
    {
        "post_id_l": STRING,  # the smaller one
        "post_id_r": STRING,
        "user_id": STRING,
        "popularity_l": DOUBLE,
        "popularity_r": DOUBLE,
        "margin": DOUBLE,  # difference of the logarithms, l - r
        "probability": DOUBLE,  # that l is the more popular one
        "rule": STRING,
        "split": STRING,
    },
    key=("post_id_l", "post_id_r"),
    required=("user_id", "popularity_l", "popularity_r", "margin", "probability", "rule", "split"),
)

PAIR_AUDIT = Table(
    "pair_audit",
    {"position": INT, "of": STRING, "rule": STRING, "n_before": LONG, "n_removed": LONG, "n_after": LONG},
    key=("position",),
    required=("of", "rule", "n_before", "n_removed", "n_after"),
)

THUMBNAILS = Table(
    "thumbnails",  # the images of pairs, small enough to train from
    {
        "image_id": STRING,
        "sha256": STRING,  # of the whole file, as n_bytes
        "n_bytes": LONG,
        "thumbnail": BINARY,  # JPEG, short side 256 px
        "brightness": DOUBLE,  # mean grey level, 0 to 1
        "status": STRING,
        "error": STRING,
    },
    key=("image_id",),
    required=("status",),
)

PAIR_EXAMPLES = Table(
    "pair_examples",  # what a ranker is trained on
    {
        "post_id_l": STRING,
        "post_id_r": STRING,
        "user_id": STRING,
        "margin": DOUBLE,
        "probability": DOUBLE,
        "rule": STRING,
        "split": STRING,
        "sha256_l": STRING,
        "sha256_r": STRING,
        "n_bytes_l": LONG,
        "n_bytes_r": LONG,
        "brightness_l": DOUBLE,
        "brightness_r": DOUBLE,
        "user_popularity_l": DOUBLE,  # mean popularity of the user's posts
        "user_popularity_r": DOUBLE,
        "thumbnail_l": BINARY,
        "thumbnail_r": BINARY,
    },
    key=("post_id_l", "post_id_r"),
    required=(
        "user_id",
        "margin",
        "probability",
        "rule",
        "split",
        "sha256_l",
        "sha256_r",
        "thumbnail_l",
        "thumbnail_r",
    ),
    partitioned_by=("split",),
    row_group_bytes=8 << 20,  # what a reader holds at once, about 200 pairs
)
