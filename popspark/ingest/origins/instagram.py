"""Instagram: what Meta lets its users download, and what scrapers write of profiles and posts, as JSON.

| file | has | a post is |
|---|---|---|
| Meta's download, `posts_1.json` | no ids | `{"media": [{"uri", "creation_timestamp", "title"}], "title"}` |
| the same of old, `media.json` | no ids | `{"photos": [{"path", "taken_at", "caption"}]}` |
| a scraper's post | ids, counts | `{"id", "ownerId", "caption", "timestamp", "likesCount", "displayUrl"}`, ... |
| a scraper's profile | user values once | `{"id", "postsCount", "latestPosts": [posts as above]}` |
| Instagram's own answers, as loaders keep them | ids, counts | `FIELDS`, in `node`, `items`, or a user's `edges` |

A download holds the posts of one user, who is `self`; the id of a post is the uri of its first picture. Meta writes the
bytes of UTF-8 as characters of Latin-1 (`caf\\u00c3\\u00a9`): such texts are repaired. Hashtags stand in the caption.
A file that is no list of posts, as most of a download are not, gives rejects (`not_a_post`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import values
from popspark.ingest.exports import Options
from popspark.ingest.readers.files import Files
from popspark.ingest.readers.json import as_text, whole_text
from popspark.ingest.readers.pages import check_json, reads, reads_member
from popspark.ingest.readers.records import Layout, Record, iter_records, lossless, to_batches
from popspark.ingest.tags import find_tags

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["parse", "reads", "reads_member"]

TEXTS = ("post_id", "user_id", "user_name", "posted", "caption", "n_likes", "n_comments", "n_views", "n_user_posts")
COLUMNS = (*TEXTS, "hashtags", "image_id", "n_media", "media_type")
ROWS = "file string, line bigint, nth bigint, item bigint, raw string, raw_base64 string, fault string, " + ", ".join(
    f"{name} string" for name in COLUMNS
)
OWNER = "self"


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    check_json(files)

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of the files that the batches name; on executors."""
        for batch in batches:
            for file in batch.column(0).to_pylist():
                rows = (row for record in iter_records(file, Layout("json")) for row in iter_rows(record))
                yield from to_batches(rows, ROWS)

    tasks = spark.createDataFrame([(file,) for file in files.read], "file string").repartition(len(files.read), "file")
    return _posts(tasks.mapInArrow(read, ROWS), options)


def iter_rows(record: Record) -> Iterator[tuple[Any, ...]]:
    """Rows of `ROWS`, the posts of a record or the record itself with a fault; on executors."""
    position = (record.file, record.line, record.nth)
    found, fault = [dict[str, Any]()], record.fault
    if fault is None:
        document = json.loads(record.raw)
        found = list(_find_posts(document))
        if not found:
            found, fault = [{}], None if document in ({}, []) else "not_a_post"
    for item, post in enumerate(found):
        texts = [as_text(post.get(name)) for name in COLUMNS]
        raw = record.raw if len(found) == 1 else json.dumps(post.get("raw", post), ensure_ascii=False)
        yield *position, item, whole_text(raw), record.raw_base64, fault or post.get("fault"), *texts


FIELDS = {
    "post_id": ("pk", "id", "shortCode", "shortcode", "code"),
    "user_id": ("ownerId", "owner.id", "user.pk", "user.id"),
    "user_name": ("ownerUsername", "owner.username", "user.username"),
    "posted": ("timestamp", "taken_at_timestamp", "taken_at"),
    "caption": ("caption.text", "edge_media_to_caption.edges.0.node.text", "caption"),
    "n_likes": ("likesCount", "edge_liked_by.count", "edge_media_preview_like.count", "like_count"),
    "n_comments": (
        "commentsCount",
        "edge_media_to_comment.count",
        "edge_media_to_parent_comment.count",
        "comment_count",
    ),
    "n_views": ("videoViewCount", "video_view_count", "view_count"),
    "image_id": ("displayUrl", "display_url", "image_versions2.candidates.0.url"),
    "children": ("images", "childPosts", "edge_sidecar_to_children.edges", "carousel_media"),
}
"""Where a post has its values: the first of these paths that is known."""
OF_POST = {"ownerId", "shortCode", "shortcode", "taken_at_timestamp", "taken_at", "display_url"}


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _first(post: Mapping[str, Any], name: str) -> Any:
    return next((found for path in FIELDS[name] if (found := _at(post, path)) not in (None, "", [])), None)


def _rejected(item: Any, fault: str = "not_a_post") -> dict[str, Any]:
    return {"fault": fault, "raw": item}


def _find_posts(document: Any) -> Iterator[dict[str, Any]]:
    """Values of `COLUMNS` of each post in a document, or `fault` and `raw` of what is none among them."""
    if not isinstance(document, dict):
        return
    timeline = _at(document, "edge_owner_to_timeline_media")
    lists = (*(document.get(name) for name in ("latestPosts", "posts", "items")), _at(timeline, "edges"))
    if listed := next((one for one in lists if isinstance(one, list) and one), None):
        owner = {"ownerId": document.get("id"), "ownerUsername": document.get("username")}
        n_posts = document.get("postsCount", _at(timeline, "count"))
        for post in listed:
            node = post.get("node", post) if isinstance(post, dict) else {}
            if isinstance(node, dict) and node:
                of_post = {name: value for name, value in owner.items() if _first(node, _OWNERS[name]) is None}
                yield {**_of_scraper({**node, **of_post}), "n_user_posts": n_posts}
            else:
                yield _rejected(post)
    elif isinstance(media := document.get("media"), list) and media and all(isinstance(one, dict) for one in media):
        yield _of_meta(document, media)
    elif isinstance(old := document.get("photos"), list):  # a download's media.json, up to 2021
        for one in old:
            if isinstance(one, dict) and "path" in one:
                post = {"title": one.get("caption"), "creation_timestamp": one.get("taken_at")}
                yield _of_meta(post, [{"uri": one["path"]}])
            else:
                yield _rejected(one)
    elif OF_POST & set(document):
        yield _of_scraper(document)
    elif len(document) <= 3 and (
        inner := next(
            (document[key] for key in ("node", "user", "data", "graphql") if isinstance(document.get(key), dict)), None
        )
    ):
        yield from _find_posts(inner)


_OWNERS = {"ownerId": "user_id", "ownerUsername": "user_name"}


def _of_meta(post: Mapping[str, Any], media: list[dict[str, Any]]) -> dict[str, Any]:
    titles = (one.get("title") for one in (post, media[0]))
    title = next((one for one in titles if one not in (None, "", [])), "")
    if not isinstance(title, str):
        return _rejected({**post, "media": media}, "bad_caption")
    caption = repair(title)
    uris = [str(one.get("uri", "")) for one in media]
    images = [uri for uri in uris if not uri.lower().endswith((".mp4", ".mov"))]
    return {
        "post_id": uris[0],
        "user_id": OWNER,
        "posted": post.get("creation_timestamp") or media[0].get("creation_timestamp"),
        "caption": caption,
        "hashtags": find_tags(caption),
        "image_id": images[0] if images else None,
        "n_media": len(media),
        "media_type": "photo" if images else "video",
    }


def _of_scraper(post: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _first(post, name) for name in FIELDS}
    children, likes = found.pop("children"), found["n_likes"]
    caption = _caption(post)
    if not isinstance(caption, str | None):
        return _rejected(post, "bad_caption")
    is_video = post.get("type") == "Video" or post.get("is_video") is True or post.get("media_type") == 2
    return {
        **found,
        "caption": caption,
        "hashtags": find_tags(caption),
        "n_likes": None if likes == -1 else likes,  # -1: the user hides it
        "n_media": max(1, len(children)) if isinstance(children, list) else 1,
        "media_type": "video" if is_video else "photo",
    }


def _caption(post: Mapping[str, Any]) -> Any:
    """The caption, "" where it is known to be empty, None where it is not known; what is no text as it is."""
    values = [_at(post, path) for path in FIELDS["caption"]]  # a dict of them stands around a text
    found = [value for value in values if value not in (None, []) and not isinstance(value, dict)]
    is_empty = bool(found) or _at(post, "edge_media_to_caption.edges") == []
    return next((value for value in found if value != ""), "" if is_empty else None)


def repair(text: str) -> str:
    """The text, where its characters are the bytes of UTF-8, as UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _posts(rows: DataFrame, options: Options) -> DataFrame:
    counts = ("n_likes", "n_comments", "n_views", "n_user_posts", "n_media")
    posted_at = values.time(F.col("posted"))
    hashtags = F.from_json("hashtags", "array<string>")
    reason = F.coalesce(
        "fault",
        values.first_reason(
            *values.id_reasons(F.col("post_id"), F.col("user_id")),
            (values.is_bad(F.col("posted"), posted_at), "bad_posted_at"),
            *[(values.is_bad(F.col(name), values.count(F.col(name))), f"bad_{name}") for name in counts],
        ),
    )
    user_name = values.user_name(F.col("user_name"), options.keep_user_names, options.user_name_salt)
    encoded = values.bytes_without_names(F.col("raw_base64"), options.keep_user_names)
    return rows.select(
        *("file", "line", "nth", "item"),
        values.without_names(lossless(F.col("raw"), encoded), options.keep_user_names).alias("raw"),
        reason.alias("reason"),
        *[values.identifier(F.col(name)).alias(name) for name in ("post_id", "user_id")],
        posted_at.alias("posted_at"),
        values.time_of(options.collected_at).alias("collected_at"),
        "caption",
        F.char_length("caption").cast("bigint").alias("n_caption_chars"),
        hashtags.alias("hashtags"),
        F.array_size(hashtags).cast("bigint").alias("n_hashtags"),
        *[values.count(F.col(name)).alias(name) for name in counts],
        *("image_id", "media_type"),
        values.extras(user_name=user_name, not_utf8_base64=encoded).alias("extra"),
    )
