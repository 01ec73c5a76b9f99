"""Images, how they were downloaded, and their features."""

from __future__ import annotations

from popspark.storage.schemas.table import BINARY, FLOATS, INT, LONG, STRING, TIMESTAMP, Table

IMAGES = Table(
    "images",
    {
        "image_id": STRING,
        "uri": STRING,  # where its bytes are; null where they are not read again
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

IMAGE_BLOBS = Table(
    "images",  # as a user may have it: the bytes in the place of a uri
    {**{name: kind for name, kind in IMAGES.columns.items() if name != "uri"}, "content": BINARY},
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
    row_group_bytes=16 << 20,  # which keeps the row groups of short families short as well
)
