"""Every table that popspark reads or writes. `popspark.storage.warehouse` reads and writes them.

A table is a plural noun for what a row is. Keys are `*_id`, times `*_at` (UTC), counts `n_*`, flags `is_*` or
`has_*`, sizes `*_px` and `*_bytes`. Parquet is the format; a path may be anything Spark reads.
"""

from __future__ import annotations

from popspark.storage.schemas.images import DOWNLOADS, IMAGE_BLOBS, IMAGE_FEATURES, IMAGES
from popspark.storage.schemas.pairs import PAIR_AUDIT, PAIR_EXAMPLES, PAIR_POSTS, PAIRS, THUMBNAILS
from popspark.storage.schemas.posts import EXAMPLES, POSTS, REJECTS, SOCIAL_FEATURES
from popspark.storage.schemas.scores import RUNS, SCORES

__all__ = [
    "DOWNLOADS",
    "EXAMPLES",
    "IMAGES",
    "IMAGE_BLOBS",
    "IMAGE_FEATURES",
    "PAIRS",
    "PAIR_AUDIT",
    "PAIR_EXAMPLES",
    "PAIR_POSTS",
    "POSTS",
    "REJECTS",
    "RUNS",
    "SCORES",
    "SOCIAL_FEATURES",
    "THUMBNAILS",
]
