"""Strategies for exports of known posts with one fault in them, an origin's text each.

The bytes of each post are known, and so is what the fault touches: all other posts must arrive as they are, or stand in
the text of a reject.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd
from hypothesis import strategies as st

Kind = Literal["csv", "x_api", "flickr", "instagram", "smp_t1", "smpd_2018", "smpd", "parquet"]
PIECES = (
    *("sea", " ", "#sun", "é", "☀", "👩‍👧", '"', '""', ",", ";", "\n", "\r\n", "\\", '\\"', "}, {", "]", "[", "{", "'"),
    *("\u2028", "\x85", "\t", "None", '"}, {"id": "', "null", "\ufeff", "日本", "=1+1", "\x0b", "\x1c", "\ufffd", "::"),
)
INSERTED = (
    b"\xef\xbb\xbf",
    b"\0",
    b"\xff\xfe",
    b'"',
    b"\n",
    b"\r",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\xe9",
    b",",
    b"\\",
    b"x" * 200_000,
)


@dataclass(frozen=True)
class Post:
    post_id: str
    user_id: str
    caption: str
    n_likes: int


@dataclass(frozen=True)
class Export:
    """content: of a file of that name. spans: of each post, the bytes. fault: what was done; touched: to whom."""

    kind: Kind
    name: str
    posts: tuple[Post, ...]
    content: bytes
    spans: tuple[tuple[int, int], ...]
    fault: str = "none"
    touched: frozenset[str] = field(default_factory=frozenset)
    beside: Export | None = None


def _tweet(post: Post) -> dict[str, Any]:
    return {
        "id": post.post_id,
        "author_id": post.user_id,
        "text": post.caption,
        "created_at": "2024-05-01T10:00:00.000Z",
        "public_metrics": {"like_count": post.n_likes},
    }


def _photo(post: Post) -> dict[str, Any]:
    return {
        "id": post.post_id,
        "owner": post.user_id,
        "description": {"_content": post.caption},
        "dateupload": "1457000000",
        "count_faves": str(post.n_likes),
    }


def _scraped(post: Post) -> dict[str, Any]:
    return {
        "id": post.post_id,
        "ownerId": post.user_id,
        "caption": post.caption,
        "likesCount": post.n_likes,
        "timestamp": "2024-05-01T08:00:00.000Z",
    }


def _titled(post: Post) -> dict[str, Any]:
    return {"Uid": post.user_id, "Pid": post.post_id, "Title": post.caption}


def _dated(post: Post) -> dict[str, Any]:
    return {"Uid": post.user_id, "Pid": post.post_id, "Postdate": "1457000000"}


OBJECTS: dict[str, Callable[[Post], dict[str, Any]]] = {
    "x_api": _tweet,
    "flickr": _photo,
    "instagram": _scraped,
    "smpd": _titled,
}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _row(kind: Kind, post: Post, end: str) -> str:
    if kind == "smp_t1":
        return f"{post.post_id} {post.user_id} 1363380669 {post.n_likes} 0 5 6 7 8.5 9 10{end}"
    if kind == "smpd_2018":
        fields = [post.user_id, post.post_id, "c", "s", "k", "None", "1", "ready", post.caption, "photo", "x"]
        return " ".join(map(_quoted, [*fields, "1457000000", "0", "0", "0"])) + end
    text = io.StringIO()
    quoting: Any = csv.QUOTE_ALL if "\n" in post.caption or "\r" in post.caption else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerow(
        [post.post_id, post.user_id, post.caption, post.n_likes]
    )
    return text.getvalue()


@st.composite
def exports(draw: st.DrawFn, kind: Kind, prefix: str = "") -> Export:
    """A whole export: as text of rows, as JSON lines, as an array, or as a page."""
    n = draw(st.integers(1, 7))
    pieces = draw(st.lists(st.lists(st.sampled_from(PIECES), max_size=6), min_size=n, max_size=n))
    posts = tuple(
        Post(f"{prefix}p{i}x{i * 7919 + 1000003}q", f"u{i % 2}z", f"c{i} {''.join(piece)}", 10**i + 3)
        for i, piece in enumerate(pieces)
    )
    end = draw(st.sampled_from(["\n", "\r\n", "\n", "\r"])) if kind == "csv" else draw(st.sampled_from(["\n", "\r\n"]))
    if kind in OBJECTS:
        is_ascii, indent = draw(st.booleans()), draw(st.sampled_from([None, None, 1]))
        shape = "array" if kind == "smpd" else draw(st.sampled_from(["lines", "array", "page"]))
        rows = [
            json.dumps(OBJECTS[kind](post), ensure_ascii=is_ascii, indent=indent if shape != "lines" else None)
            for post in posts
        ]
        head, between, tail = {
            "lines": ("", end, end),
            "array": ("[", draw(st.sampled_from([",", ", ", ",\n "])), "]\n"),
            "page": ("", "", "")
            if kind == "smpd"
            else {
                "x_api": ('{"data": [', ", ", '], "meta": {"result_count": 1}}'),
                "flickr": ('{"photos": {"photo": [', ", ", ']}, "stat": "ok"}'),
                "instagram": ('{"id": "9", "username": "ann", "postsCount": 3, "latestPosts": [', ", ", "]}"),
            }[kind],
        }[shape]
        name = f"{prefix}posts.{'jsonl' if shape == 'lines' else 'json'}"
    else:
        rows, between, tail = [_row(kind, post, end) for post in posts], "", ""
        head = {"csv": f"id,who,text,likes{end}", "smp_t1": "", "smpd_2018": ""}[kind]
        name = f"{prefix}posts.csv" if kind == "csv" else f"{prefix}train_data.txt"
    content, spans = head.encode(), []
    for i, row in enumerate(rows):
        content += between.encode() if i else b""
        spans.append((len(content), len(content) + len(row.encode())))
        content += row.encode()
    export = Export(kind, name, posts, content + tail.encode(), tuple(spans))
    if kind != "smpd":
        return export
    times = json.dumps([_dated(post) for post in posts]).encode()
    return replace(
        export, name="train_tags.json", beside=replace(export, name="train_temporalspatial.json", content=times)
    )


@st.composite
def parquet_exports(draw: st.DrawFn, prefix: str = "") -> Export:
    """A file of any types that hold the same values, whole or cut."""
    export = draw(exports("csv", prefix))
    likes = draw(st.sampled_from(["int64", "float64", "str", "int32"]))
    rows = [[post.post_id, post.user_id, post.caption, post.n_likes] for post in export.posts]
    table = pd.DataFrame(rows, columns=["id", "who", "text", "likes"]).astype({"likes": likes})
    if draw(st.booleans()):
        table["more"] = None
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    export = replace(export, kind="parquet", name=f"{prefix}posts.parquet", content=stream.getvalue(), spans=())
    fault = draw(st.sampled_from(["none", "none", "cut", "magic"]))
    if fault == "none":
        return export
    content = (
        export.content[: draw(st.integers(0, len(export.content) - 1))]
        if fault == "cut"
        else export.content[:-1] + b"?"
    )
    return replace(export, content=content, fault=fault, touched=frozenset(post.post_id for post in export.posts))


@st.composite
def faulty_exports(draw: st.DrawFn, kind: Kind, prefix: str = "") -> Export:
    """An export with one fault, or none."""
    export = draw(exports(kind, prefix))
    fault = draw(
        st.sampled_from(["none", "flip", "cut", "delete", "insert", "double", "swap", "glue", "utf16", "cp1252"])
    )
    content, n = export.content, len(export.content)
    at = draw(st.integers(0, n - 1))
    if fault == "flip":
        changed = content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]
        return _touched(export, changed, f"flip at {at}", at, at + 1)
    if fault == "cut":
        return _touched(export, content[:at], f"cut at {at}", at, n)
    if fault == "delete":
        end = min(at + draw(st.integers(1, 20)), n)
        return _touched(export, content[:at] + content[end:], f"delete {at}:{end}", at, end)
    if fault == "insert":
        more = draw(st.sampled_from(INSERTED))
        return _touched(export, content[:at] + more + content[at:], f"insert {more[:8]!r} at {at}", at, at)
    if fault in ("double", "swap", "glue") and len(export.spans) > 1:
        i = draw(st.integers(0, len(export.spans) - 2))
        (a, b), (c, d) = export.spans[i], export.spans[i + 1]
        if fault == "double":
            changed = content[:c] + content[a:c] + content[c:]
        elif fault == "swap":
            changed = content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]
        else:
            first = content[a:b].rstrip(b"\r\n")
            changed = content[:a] + first + content[c:]
            return _touched(export, changed, f"glue {i}", a, d)
        return replace(export, content=changed, fault=f"{fault} {i}")
    if fault == "utf16" and kind in ("csv", *OBJECTS) and not export.name.endswith("jsonl"):
        return replace(export, content=content.decode().encode("utf-16"), fault=fault)
    if fault == "cp1252":
        changed = content.decode().encode("cp1252", "replace")
        return replace(export, content=changed, fault=fault, touched=frozenset(p.post_id for p in export.posts))
    return export


def _touched(export: Export, content: bytes, fault: str, start: int, end: int) -> Export:
    """The export with that content: what was done to bytes start:end touches the posts on either side, or all of them
    where it is the header, or becomes a byte order mark.
    """
    named = zip(export.posts, export.spans, strict=True)
    is_all = content.startswith(b"\xff\xfe") or (export.kind == "csv" and start < export.spans[0][0])
    touched = frozenset(post.post_id for post, (a, b) in named if is_all or (a <= end and start <= b))
    return replace(export, content=content, fault=fault, touched=touched)
