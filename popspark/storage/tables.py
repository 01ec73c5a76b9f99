"""Every table once: its schema, key and partitioning. `popspark.storage.warehouse` reads and writes them.

A table is a plural noun for what a row is. Keys are `*_id`, times `*_at` (UTC), counts `n_*`, flags `is_*` or
`has_*`, sizes `*_px` and `*_bytes`. Parquet is the format; a path may be anything Spark reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import types as t

from popspark.storage.examples import SOCIAL_NAMES

STRING, LONG, INT, DOUBLE = t.StringType(), t.LongType(), t.IntegerType(), t.DoubleType()
TIMESTAMP, BOOLEAN, BINARY = t.TimestampType(), t.BooleanType(), t.BinaryType()
STRINGS, FLOATS = t.ArrayType(STRING), t.ArrayType(t.FloatType())


@dataclass(frozen=True)
class Table:
    """name: plural noun. columns: name -> type. key: the columns that name a row; never null.

    required: other columns that may not be null. partitioned_by: folders on disk. is_sliced: such a folder is
    replaced as a whole, by `popspark.storage.slices`; the table may also be one of the catalog, `table:NAME`, or Delta.
    ordered_by: within each file. parquet: options of its writer, where Spark's are not right for it.
    """

    name: str
    columns: dict[str, t.DataType]
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    partitioned_by: tuple[str, ...] = ()
    is_sliced: bool = False
    ordered_by: tuple[str, ...] = ()
    parquet: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> t.StructType:
        never_null = {*self.key, *self.required}
        return t.StructType([t.StructField(name, kind, name not in never_null) for name, kind in self.columns.items()])


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
        "extra": t.MapType(STRING, STRING),  # what else the origin gives
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

IMAGES = Table(
    "images",
    {
        "image_id": STRING,
        "content": BINARY,
        "sha256": STRING,
        "n_bytes": LONG,
        "width_px": INT,
        "height_px": INT,
        "format": STRING,
        "status": STRING,
        "error": STRING,
    },
    key=("image_id",),
    required=("status",),
)

DOWNLOADS = Table(
    "downloads",  # every request's outcome, in the order of time: what a run that was stopped goes on from
    {**IMAGES.columns, "etag": STRING, "last_modified": STRING, "fetched_at": TIMESTAMP},
    key=("image_id", "fetched_at"),
    required=("status",),
)

IMAGE_FEATURES = Table(
    "image_features",
    {
        "image_id": STRING,
        "sha256": STRING,
        "family": STRING,
        "version": STRING,
        "values": FLOATS,
        "status": STRING,
        "error": STRING,
    },
    key=("image_id", "family", "version"),  # and sha256: of a changed image the old rows stay, and are not read
    required=("status",),
    partitioned_by=("family",),
    ordered_by=("image_id",),  # so that the files of all families that a task writes are read side by side
    parquet={"parquet.block.size": str(16 << 20)},  # which keeps the row groups of short families short as well
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

SOCIAL_FEATURES = Table(
    "social_features",
    {"post_id": STRING, "mode": STRING, **dict.fromkeys(SOCIAL_NAMES, DOUBLE)},
    key=("post_id",),
    required=("mode", *SOCIAL_NAMES),
)

SCORES = Table(
    "scores",
    {
        "post_id": STRING,
        "score": DOUBLE,
        "percentile": DOUBLE,
        "model_name": STRING,
        "model_version": STRING,
        "status": STRING,
        "error": STRING,
        "scored_at": TIMESTAMP,  # of a refused post: when it was first refused with this input
        "input_hash": LONG,  # of all that the score was made from
        "run_id": STRING,  # of the run that scored it
        "posted_month": STRING,  # "2015-03"; "unknown" without posted_at
    },
    key=("post_id",),
    required=("model_name", "model_version", "status", "scored_at", "input_hash", "run_id", "posted_month"),
    partitioned_by=("posted_month",),
    is_sliced=True,
)

RUNS = Table(
    "runs",  # one row a run, written by popspark.storage.runs
    {
        "run_id": STRING,
        "job": STRING,
        "outcome": STRING,  # running, succeeded, failed, killed
        "started_at": TIMESTAMP,
        "seconds": DOUBLE,
        "exit_code": INT,
        "error": STRING,
        "model_name": STRING,
        "model_version": STRING,
        "inputs": t.MapType(STRING, STRING),  # the tables read, by name
        "snapshots": t.MapType(STRING, STRING),  # of those in folders: a digest of their files' names, sizes and times
        "input_rows": t.MapType(STRING, LONG),
        "counts": t.MapType(STRING, LONG),  # rows by what became of them
        "stage_seconds": t.MapType(STRING, DOUBLE),
        "versions": t.MapType(STRING, STRING),
    },
    key=("job", "run_id"),
    required=("outcome", "started_at", "seconds"),
)

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
    parquet={"parquet.enable.dictionary": "false"},  # ids and hashes repeat too little for one to be worth its building
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
        "probability": DOUBLE,  # that l is the more popular picture
        "rule": STRING,
        "split": STRING,
    },
    key=("post_id_l", "post_id_r"),
    required=("user_id", "popularity_l", "popularity_r", "margin", "probability", "rule", "split"),
)

PAIR_AUDIT = Table(
    "pair_audit",
    {"place": INT, "of": STRING, "rule": STRING, "n_before": LONG, "n_removed": LONG, "n_after": LONG},
    key=("place",),
    required=("of", "rule", "n_before", "n_removed", "n_after"),
)

THUMBNAILS = Table(
    "thumbnails",  # the photographs of pairs, small enough to train from
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
    parquet={"parquet.block.size": str(8 << 20)},  # what a reader holds at once, about 200 pairs
)
