"""Instagram's JSON to rows: Meta's own download, scrapers' posts and profiles, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from popspark.ingest.origins.instagram import COLUMNS, iter_rows, repair
from popspark.ingest.readers.records import Layout, iter_records


def posts(path: Path, document: Any) -> list[dict[str, Any]]:
    path.write_text(json.dumps(document))
    rows = [row for record in iter_records(str(path), Layout("json")) for row in iter_rows(record)]
    return [dict(zip(("fault", *COLUMNS), row[6:], strict=True)) for row in rows]


def has(found: dict[str, Any], **expected: Any) -> None:
    assert {name: found[name] for name in expected} == expected


def test_metas_download(tmp_path: Path) -> None:
    first = {"uri": "media/a.mp4", "creation_timestamp": 1714550400}
    second = {
        "uri": "media/b.jpg",
        "creation_timestamp": 1714550401,
        "title": "gr\u00c3\u00bcn \u00f0\u009f\u0098\u008d",
    }
    title = "r\u00c3\u00a9ponse #un#deux"
    found = posts(tmp_path / "p.json", [{"media": [first, second], "title": title}, {"media": [second]}])
    has(found[0], fault=None, post_id="media/a.mp4", user_id="self", posted="1714550400", image_id="media/b.jpg")
    has(found[0], caption="réponse #un#deux", hashtags='["un", "deux"]', n_media="2", media_type="photo", n_likes=None)
    has(found[1], post_id="media/b.jpg", caption="grün 😍", posted="1714550401")


def test_metas_download_of_old(tmp_path: Path) -> None:
    old = {"photos": [{"caption": "a #b", "taken_at": "2019-05-01T10:00:00", "path": "photos/a.jpg"}, {}], "videos": []}
    found, empty = posts(tmp_path / "p.json", old)
    has(empty, fault="not_a_post", post_id=None)
    has(found, fault=None, post_id="photos/a.jpg", user_id="self", caption="a #b", posted="2019-05-01T10:00:00")


def test_a_scrapers_profile_and_posts(tmp_path: Path) -> None:
    post = {"id": "1", "caption": "a #b", "likesCount": 5, "timestamp": "2024-05-01T08:00:00.000Z", "displayUrl": "u"}
    profile = {"id": "7", "username": "ann", "postsCount": 40, "latestPosts": [post, {**post, "id": "2"}]}
    hidden = {**post, "id": "3", "ownerId": "8", "likesCount": -1, "caption": None}
    found = posts(tmp_path / "p.json", [profile, hidden])
    assert [(one["post_id"], one["user_id"], one["n_user_posts"], one["n_likes"]) for one in found] == [
        *(("1", "7", "40", "5"), ("2", "7", "40", "5"), ("3", "8", None, None)),
    ]
    has(found[0], user_name="ann", hashtags='["b"]', image_id="u", posted="2024-05-01T08:00:00.000Z")
    has(found[2], caption=None, hashtags=None)


NODE = {
    "id": "1",
    "shortcode": "AB",
    "owner": {"id": "7", "username": "ann"},
    "edge_media_to_caption": {"edges": [{"node": {"text": "hi #sun"}}]},
    "edge_media_preview_like": {"count": 5},
    "edge_media_to_comment": {"count": 2},
    "taken_at_timestamp": 1714550400,
    "display_url": "u",
    "is_video": True,
}
ITEM = {
    "pk": "2",
    "id": "2_7",
    "user": {"pk": "7", "username": "ann"},
    "caption": {"text": "cap #z"},
    "like_count": 4,
    "taken_at": 1714550400,
    "media_type": 8,
    "carousel_media": [{}, {}],
    "image_versions2": {"candidates": [{"url": "big"}, {"url": "small"}]},
}


def test_instagrams_own_answers(tmp_path: Path) -> None:
    edges = {"edge_owner_to_timeline_media": {"count": 9, "edges": [{"node": NODE}]}}
    user = {"user": {"id": "7", "username": "ann", **edges}}
    documents = [NODE, {"node": NODE, "instaloader": {}}, {"data": user}, {"graphql": user, "a": 1}]
    for found in posts(tmp_path / "p.json", documents):
        has(found, fault=None, post_id="1", user_id="7", user_name="ann", caption="hi #sun", hashtags='["sun"]')
        has(found, n_likes="5", n_comments="2", posted="1714550400", image_id="u", media_type="video")
    assert [one["n_user_posts"] for one in posts(tmp_path / "p.json", documents)] == [None, None, "9", "9"]
    (found,) = posts(tmp_path / "p.json", [{"items": [ITEM], "status": "ok"}])
    has(found, post_id="2", user_id="7", user_name="ann", caption="cap #z", n_likes="4", n_comments=None)
    has(found, image_id="big", n_media="2", media_type="photo", posted="1714550400")


@pytest.mark.parametrize("document", [{"profile_user": []}, {"media": []}, {"media": ["x"]}, [[1]], [3]])
def test_what_is_no_post_says_so(tmp_path: Path, document: Any) -> None:
    assert [one["fault"] for one in posts(tmp_path / "p.json", document)] == ["not_a_post"]


GOOD = {"id": "1", "ownerId": "7", "timestamp": "2024-05-01T08:00:00Z", "caption": "a #b"}


@pytest.mark.parametrize("name", ["latestPosts", "posts", "items"])
def test_each_item_of_a_list_is_a_post_or_a_reject(tmp_path: Path, name: str) -> None:
    items = [GOOD, "x", None, ["a"], 7, {}, {"node": None}]
    (tmp_path / "p.json").write_text(json.dumps({"id": "7", name: items}))
    (record,) = iter_records(str(tmp_path / "p.json"), Layout("json"))
    rows = list(iter_rows(record))
    assert [(row[3], row[6]) for row in rows] == [(0, None), *((i, "not_a_post") for i in range(1, 7))]
    assert [json.loads(row[4]) for row in rows[1:]] == items[1:]


@pytest.mark.parametrize("empty", [None, [], "", {}])
def test_an_empty_list_does_not_hide_another(tmp_path: Path, empty: Any) -> None:
    (found,) = posts(tmp_path / "p.json", {"id": "7", "latestPosts": empty, "posts": [GOOD]})
    has(found, fault=None, post_id="1", caption="a #b")
    (found,) = posts(tmp_path / "p.json", {**NODE, "latestPosts": empty, "items": empty})
    has(found, fault=None, post_id="1", caption="hi #sun")


@pytest.mark.parametrize("title", [5, 0, True, {"a": 1}, ["a"]])
def test_a_caption_that_is_no_text_is_a_reject(tmp_path: Path, title: Any) -> None:
    medium = {"uri": "a.jpg", "creation_timestamp": 1714550400}
    download = [{"media": [medium], "title": title}, {"media": [{**medium, "title": title}]}]
    old = {"photos": [{"caption": title, "taken_at": "2019-05-01T10:00:00", "path": "photos/a.jpg"}]}
    documents = [*download, old]
    if not isinstance(title, dict):  # Instagram's own answers have an object around the text
        documents += [{**GOOD, "caption": title}, {"id": "7", "posts": [{**GOOD, "caption": title}]}]
    for document in documents:
        assert [one["fault"] for one in posts(tmp_path / "p.json", document)] == ["bad_caption"]


@pytest.mark.parametrize(
    ("values", "caption"),
    [
        ({"caption": ""}, ""),
        ({"caption": {"text": ""}}, ""),
        ({"edge_media_to_caption": {"edges": []}}, ""),
        ({"caption": "", "edge_media_to_caption": {"edges": [{"node": {"text": "a"}}]}}, "a"),
        ({"caption": None}, None),
        ({"caption": {"text": None}}, None),
        ({}, None),
    ],
)
def test_a_caption_is_empty_or_not_known(tmp_path: Path, values: dict[str, Any], caption: str | None) -> None:
    post = {name: value for name, value in GOOD.items() if name != "caption"}
    (found,) = posts(tmp_path / "p.json", {**post, **values})
    has(found, fault=None, caption=caption, hashtags=None if caption is None else "[]")


def test_the_handed_download(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "cases/instagram_own_export/posts_1.json"
    if not path.is_file():
        pytest.skip("../shared/data/cases is absent")
    (found,) = posts(tmp_path / "p.json", json.loads(path.read_text()))
    has(found, fault=None, image_id="media/posts/202405/a.jpg", posted="1714550400")
    has(found, caption="café 😍 #lisbon#travel", hashtags='["lisbon", "travel"]')


@pytest.mark.parametrize(
    ("text", "repaired"), [("caf\u00c3\u00a9", "café"), ("café", "café"), ("日", "日"), ("a", "a")]
)
def test_utf8_written_as_latin1_is_repaired(text: str, repaired: str) -> None:
    assert repair(text) == repaired
