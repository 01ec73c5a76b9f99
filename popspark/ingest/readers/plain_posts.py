"""Rows of SMPD that were read side by side straight to files of posts, where each is plain; runs on executors.

`popspark.ingest.origins.smpd` says in SQL what becomes a post. This is the same for chunks of rows in which
nothing is at fault
and no text is left that only SQL converts; mostly that is all of them, and through Spark's rows they would take longer
than all their reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from popspark.ingest.readers.arrow_values import prose
from popspark.storage.tables import POSTS

GROUP_ROWS = 1 << 17
"""Of a row group, about."""
KINDS = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "array<string>": pa.list_(pa.string()),
    "map<string,string>": pa.map_(pa.string(), pa.string()),
}
SCHEMA = pa.schema([(name, KINDS[kind.simpleString()]) for name, kind in POSTS.columns.items()])
"""Of the posts table, in Arrow."""
REPEATED = ["user_id", "media_type", "origin", "n_media"]
"""Columns for which Parquet's dictionaries are worth their building."""
HIDDEN = "_part-"
"""What names of files begin with that do not count yet."""
LEFT = ("temporalspatial_Postdate", "user_photo_count", "label_line", "text_Alltags")
"""Texts that are null where they became a value."""


def plain_posts(chunk: pa.RecordBatch, known: Mapping[str, Any]) -> pa.Table | None:
    """The posts of the columns of `popspark.ingest.readers.chunks.read_chunk`, None where a row of them is not plain.

    known: values that all posts have, by name.
    """
    n, has_path = len(chunk), "img_line_value" in chunk.schema.names

    def column(name: str, kind: pa.DataType = KINDS["string"]) -> pa.Array:
        return chunk.column(name) if name in chunk.schema.names else pa.nulls(n, kind)

    uid, pid, path = (
        column(name) for name in ("temporalspatial_Uid_value", "temporalspatial_Pid_value", "img_line_value")
    )
    end = pc.binary_join_element_wise(pa.scalar(""), uid, pid, pa.scalar("/"))
    given = pc.binary_join_element_wise(column("part"), end, pa.scalar(".jpg"), pa.scalar(""))
    media_type = column("text_Mediatype_value")
    is_plain = (
        all(column(name).null_count == n for name in ("fault", *LEFT))
        and end.null_count == 0  # else an id is missing
        and pc.all(column("has_same_ids", pa.bool_())).as_py()
        and (pc.all(pc.equal(path, given)).as_py() is not False or _name_ids(path, end))
        and pc.all(pc.string_is_ascii(media_type)).as_py() is not False
    )
    if not is_plain:
        return None
    title = prose(pc.coalesce(column("text_Title"), column("text_Tile")))
    hashtags = column("text_Alltags_value", KINDS["array<string>"])
    found = {
        "post_id": pid,
        "user_id": uid,
        "posted_at": column("temporalspatial_Postdate_value", KINDS["timestamp"]),
        "title": title,
        "hashtags": hashtags,
        "n_title_chars": pc.utf8_length(title),
        "n_hashtags": pc.list_value_length(hashtags),
        "n_user_posts": column("user_photo_count_value", KINDS["bigint"]),
        "image_id": path if has_path else given,
        "media_type": pc.utf8_lower(media_type),
        "popularity": column("label_line_value", KINDS["double"]),
        "extra": column("extra"),
    }
    found |= {name: pa.repeat(pa.scalar(value, SCHEMA.field(name).type), n) for name, value in known.items()}
    columns = (found[name] if name in found else pa.nulls(n, SCHEMA.field(name).type) for name in SCHEMA.names)
    return pa.table([one.cast(kind) for one, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)


def _name_ids(paths: pa.Array, ends: pa.Array) -> bool:
    """Whether each path, where there is one, is of its user's and post's ids."""
    pairs = zip(paths.to_pylist(), ends.to_pylist(), strict=True)
    return all(path is None or path.endswith(f"{ids}.jpg") for path, ids in pairs)


def write_plain(
    chunks: Iterable[tuple[int, Callable[[], pa.RecordBatch]]], known: Mapping[str, Any], folder: str
) -> list[tuple[int, str | None, int]]:
    """Writes the posts of chunks that are plain into one new file, with a hidden name, in a folder of this machine.

    Of each chunk: its number, the file (None where it is not plain), and its posts there.
    """
    path, found, waiting = f"{folder}/{HIDDEN}{uuid4()}.parquet", [], list[pa.Table]()
    with pq.ParquetWriter(path, SCHEMA, use_dictionary=REPEATED) as writer:
        for number, read in chunks:
            posts = plain_posts(read(), known)
            found.append((number, path if posts else None, len(posts or ())))
            waiting += [posts] if posts else []
            if sum(map(len, waiting)) >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    return found
