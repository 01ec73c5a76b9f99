"""Exports with one kind of fault each, through the one command: no post is lost, doubled or altered without a word."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from popspark.jobs import validate_export
from popspark.jobs.ingest_posts import Config, main
from popspark.runtime.config import load_config
from popspark.runtime.errors import DataError, PathError, SchemaError
from popspark.storage.tables import POSTS, REJECTS
from popspark.storage.warehouse import read_table


def ingest(spark: SparkSession, folder: Path, *settings: str) -> tuple[dict[str, Any], list[Any]]:
    """Posts by id, and rejects, of the export in folder/src."""
    main(load_config(Config, [f"env.warehouse={folder}", f"source={folder}/src", *settings]))
    posts = read_table(spark, POSTS, f"{folder}/posts").collect()
    rejects = read_table(spark, REJECTS, f"{folder}/rejects").orderBy("file", "line").collect()
    assert len({post.post_id for post in posts}) == len(posts)
    return {post.post_id: post for post in posts}, rejects


def tweet(post_id: str, text: str = "t", **more: Any) -> dict[str, Any]:
    return {"id": post_id, "author_id": "9", "text": text, "created_at": "2024-05-01T10:00:00.000Z", **more}


def page(*tweets: dict[str, Any], at: str) -> dict[str, Any]:
    return {"data": list(tweets), "meta": {}, "__twarc": {"retrieved_at": at}}


def test_tweets_collected_twice_edited_long_and_glued(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    june, july = "2024-06-01T00:00:00Z", "2024-07-01T00:00:00Z"
    note = {"text": "long #more @bob", "entities": {"hashtags": [{"tag": "more"}], "mentions": [{"username": "bob"}]}}
    pages = [
        page(tweet("1", "new"), tweet("4", "v2", edit_history_tweet_ids=["3", "4"]), at=july),
        page(tweet("1", "old"), tweet("1", "old"), tweet("3", "v1", edit_history_tweet_ids=["3"]), at=june),
        page(tweet("5", "lon", note_tweet=note, entities={"hashtags": []}), at=june),
    ]
    (tmp_path / "src/a.json").write_text(json.dumps(pages))
    glued = json.dumps(tweet("6")) + json.dumps(tweet("7", author={"username": "ann"}, created_at="?")) + " junk"
    (tmp_path / "src/b.jsonl").write_text(f"{glued}\n{json.dumps(tweet('8', 'half ' + chr(0xD83D)))}\n")
    posts, rejects = ingest(spark, tmp_path, "origin=x_api")
    assert {i: post.caption for i, post in posts.items()} == {
        "1": "new",
        "4": "v2",
        "5": "long #more @bob",
        "6": "t",
        "8": "half \ufffd",
    }
    assert (posts["5"].hashtags, posts["5"].n_caption_chars, len(posts["5"].mentions)) == (["more"], 15, 1)
    assert sorted((row.line, row.reason) for row in rejects) == [
        *[(1, "bad_created_at"), (1, "duplicate_post_id"), (1, "duplicate_post_id"), (1, "edited"), (1, "not_json")],
    ]
    assert not any("ann" in row.raw for row in rejects)
    printed = capsys.readouterr().out
    assert printed.startswith("rows in             10\nposts                5\nrejected             5\n")
    assert "posts with text that could not be decoded 1" in printed


def test_json_lines_of_more_than_one_byte_a_unit(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        lines = [json.dumps(tweet(f"{encoding}{i}", "é\u2028\x85"), ensure_ascii=False) for i in range(2)]
        (tmp_path / f"src/{encoding}.jsonl").write_bytes("\r\n".join(lines).encode(encoding))
    posts, rejects = ingest(spark, tmp_path, "origin=x_api")
    assert rejects == []
    assert {post.caption for post in posts.values()} == {"é\u2028\x85"}
    assert len(posts) == 6


def test_a_csv_that_holds_no_post_leaves_the_old_table(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: id\nuser_name: who\nposted_at: at\nn_likes: likes\n")
    export, settings = tmp_path / "src/a.csv", ("origin=csv", f"mapping={mapping}")
    export.write_text("id,who,at,likes\n1,ann,2024-05-01,1 234\n2,clear,2024-05-01,1.5\n3,clear,2024-05-01\n")
    (tmp_path / "src/notes.txt").write_text("not a table\n")
    posts, rejects = ingest(spark, tmp_path, *settings)
    assert posts["1"].n_likes == 1234
    assert [(row.line, row.reason) for row in rejects] == [(3, "bad_n_likes"), (4, "wrong_field_count")]
    assert not any("clear" in row.raw for row in rejects)
    for text, hint in (
        ("id,who,at,likes\n", "rows in              0"),
        ("id,who,at,likes\n1.5E+18,ann,2024-05-01,1\n", "export them again as text"),
        ("id,who,at,likes\n1,ann,01.05.2024 10:15,1\n", "format: 'dd.MM.yyyy HH:mm'"),
    ):
        export.write_text(text)
        with pytest.raises(DataError, match="The export holds no post: no table was written") as caught:
            ingest(spark, tmp_path, *settings)
        assert hint in str(caught.value)
    assert read_table(spark, POSTS, f"{tmp_path}/posts").count() == 1
    export.write_text("id;who;at;likes\n1;ann;2024-05-01;1\n")
    with pytest.raises(SchemaError, match=r'a\.csv(?s:.*)fix: delimiter: ";"'):
        ingest(spark, tmp_path, *settings)
    export.write_text("id,who,at,likes,at\n1,ann,2024-05-01,1,2024-05-02\n")
    with pytest.raises(SchemaError, match=r"Two columns of the export have one name(?s:.*)got: at"):
        ingest(spark, tmp_path, *settings)


def test_parquet_files_that_differ_from_day_to_day(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    days = [pd.Timestamp("2024-05-01T10:00:00.123456789"), pd.NaT]
    whole = pd.DataFrame({"id": [1, 2], "who": ["a", "b"], "at": days, "n": [30_000_000, 4]})
    broken = pd.DataFrame({"id": [3.0, 1.3e18], "who": ["a", "b"], "at": ["2024-05-01"] * 2, "n": [30_000_000.0, None]})
    absent = pd.DataFrame({"id": ["5"], "who": ["a"], "at": [None], "n": [None]})
    for name, day in (("[1]", whole), ("2", broken), ("3", absent), ("4", whole[:0])):
        day.to_parquet(tmp_path / f"src/{name}.parquet", index=False)
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: id\nuser_id: who\nposted_at: at\nn_likes: n\nmedia_type: {value: photo}\n")
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        posts, rejects = ingest(spark, tmp_path, "origin=parquet", f"mapping={mapping}")
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))
    assert {i: (p.posted_at and p.posted_at.timestamp(), p.n_likes, p.media_type) for i, p in posts.items()} == {
        "1": (datetime.fromisoformat("2024-05-01T10:00:00.123456Z").timestamp(), 30_000_000, "photo"),
        "2": (None, 4, "photo"),
        "3": (datetime.fromisoformat("2024-05-01T00:00:00Z").timestamp(), 30_000_000, "photo"),
        "5": (None, None, "photo"),
    }
    assert [(row.line, row.reason) for row in rejects] == [(2, "rounded_id")]
    absent[["id", "who"]].to_parquet(tmp_path / "src/5.parquet", index=False)
    with pytest.raises(SchemaError, match=r"5\.parquet(?s:.*)got: at, n"):
        ingest(spark, tmp_path, "origin=parquet", f"mapping={mapping}")
    content = (tmp_path / "src/2.parquet").read_bytes()
    (tmp_path / "src/2.parquet").write_bytes(content[: len(content) // 2])
    (tmp_path / "src/5.parquet").write_bytes(b"PAR1")
    posts, rejects = ingest(spark, tmp_path, "origin=parquet", f"mapping={mapping}")
    assert set(posts) == {"1", "2", "5"}
    assert [(Path(row.file).name, row.reason) for row in rejects] == [
        *(("2.parquet", "unreadable"), ("5.parquet", "unreadable")),
    ]
    stream = io.BytesIO()
    pd.DataFrame({"id": range(2000), "who": "a", "at": "2024-05-01", "n": range(2000)}).to_parquet(stream)
    content = bytearray(stream.getvalue())
    content[1000:1400] = b"\xff" * 400
    (tmp_path / "src/5.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read to its end\.\n  where: file:/\S+/src/5\.parquet\n"):
        ingest(spark, tmp_path, "origin=parquet", f"mapping={mapping}")


def test_csv_beside_parquet_is_not_left_out(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.csv").write_text("id,who\n1,ann\n")
    pd.DataFrame({"id": ["2"], "who": ["ann"]}).to_parquet(tmp_path / "src/B.Parquet", index=False)
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: id\nuser_id: who\n")
    for origin, post_id, kind, other in (("csv", "1", ".parquet", "B.Parquet"), ("parquet", "2", ".csv", "a.csv")):
        posts, _ = ingest(spark, tmp_path, f"origin={origin}", f"mapping={mapping}")
        assert list(posts) == [post_id]
        left_out = f"1 {kind}; file:{tmp_path}/src/{other} the first"
        assert caplog.messages[-1] == f"Left out, as this origin does not read them: {left_out}"
    (tmp_path / "src/a.csv").unlink()
    with pytest.raises(PathError, match=r"no table of this origin here(?s:.*)B\.Parquet, which another origin reads"):
        ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")


def test_files_that_are_left_out_are_told(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    source, mapping = tmp_path / "src", tmp_path / "m.yaml"
    (source / "_old").mkdir(parents=True)
    mapping.write_text("post_id: id\nuser_id: who\n")
    (source / "a.csv").write_text("id,who\n1,ann\n")
    for name in ("b.csv.bz2", "d.csv.1", "part-00000", "_f.csv", "_old/h.csv", "_SUCCESS", ".a.csv.crc"):
        (source / name).write_text("id,who\n2,ann\n")
    line = (
        "Left out, as this origin does not read them: 2 hidden (a name that begins with _ or .), 1 .csv.N, 1 .csv.bz2, "
        f"1 without an ending; file:{source}/b.csv.bz2 the first"
    )
    posts, _ = ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")
    assert list(posts) == ["1"]
    assert caplog.messages.count(line) == 1
    settings = [f"env.warehouse={tmp_path}", f"source={source}", f"mapping={mapping}", "origin=csv"]
    capsys.readouterr()
    validate_export.main(load_config(validate_export.Config, settings))
    assert capsys.readouterr().out.endswith(f"\n\n{line}\n")
    (source / "a.csv").unlink()
    with pytest.raises(PathError, match=r"(?s)no table of this origin here.*got: Left out, .*1 \.csv\.bz2"):
        ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")
    for path in source.glob("[!_]*"):
        path.unlink()
    with pytest.raises(PathError, match=r"(?s)no file to read.*got: 2 hidden \(a name that begins with _ or \.\)"):
        ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")


def test_what_is_no_json_by_its_name_is_left_out(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "README.txt").write_text("about")
    (source / "t.txt").write_text(json.dumps(tweet("1")))
    (source / "t2.json.bz2").write_bytes(b"BZh")
    with zipfile.ZipFile(source / "t.zip", "w") as archive:
        archive.writestr("t.json", json.dumps(tweet("2")))
        for name in ("README.txt", "photos/a.jpg", "Thumbs.db", "__MACOSX/._t.json", "x/.hidden.json"):
            archive.writestr(name, b"\xff\xd8 junk")
    posts, rejects = ingest(spark, tmp_path, "origin=x_api")
    assert (sorted(posts), rejects) == (["1", "2"], [])
    line = (
        "Left out, as this origin does not read them: 2 README, 1 .jpg, 1 .json.bz2, 1 Thumbs.db, "
        f"1 hidden (a name that begins with _ or .), 1 in __MACOSX; file:{source}/README.txt the first"
    )
    assert line in caplog.messages


def test_lists_of_flickr(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()

    def photo(post_id: str) -> dict[str, Any]:
        return {"id": post_id, "owner": "9@N", "title": "t", "dateupload": "1457000000", "views": "3"}

    answers = [
        {"photo": [photo("1"), photo("2"), "x", None]},
        {"photos": [photo("3"), photo("4")], "stat": "ok"},
        {"photos": {"photo": [photo("5"), photo("6")]}},
        {"photos": {"photo": photo("7")}},
        {"photoset": {"owner": "8@N", "photo": [{**photo("8"), "owner": None}]}},
        {"photo": photo("9")},
    ]
    (tmp_path / "src/a.json").write_text(json.dumps(answers))
    posts, rejects = ingest(spark, tmp_path, "origin=flickr")
    assert sorted(posts) == list("123456789")
    assert (posts["2"].title, posts["4"].n_views, posts["8"].user_id) == ("t", 3, "8@N")
    assert [(row.raw, row.reason) for row in rejects] == [("x", "missing_id"), ("null", "missing_id")]


def test_instagram(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src/.cache").mkdir(parents=True)
    (tmp_path / "src/.cache/\u00e9.json").write_text("[]")  # Spark reads no hidden folder
    post = {"id": "1", "caption": "#b", "likesCount": 5, "timestamp": "2024-05-01T08:00:00.000Z", "displayUrl": "u"}
    late = {**post, "id": "2", "timestamp": "May"}
    (tmp_path / "src/p.json").write_text(json.dumps([{"id": "7", "username": "ann", "latestPosts": [post, late]}, {}]))
    posts, rejects = ingest(spark, tmp_path, "origin=instagram", "collected_at=2024-06-01")
    assert (posts["1"].user_id, posts["1"].n_likes, posts["1"].hashtags, posts["1"].image_id) == ("7", 5, ["b"], "u")
    assert posts["1"].collected_at - posts["1"].posted_at == datetime(2024, 6, 1) - datetime(2024, 5, 1, 8)
    assert [row.reason for row in rejects] == ["bad_posted_at", "missing_id"]
    assert not any("ann" in row.raw for row in rejects)
    scraped = {
        **late,
        "ownerId": "7",
        "ownerUsername": "ann",
        "mentions": ["bob"],
        "inputUrl": "https://www.instagram.com/ann/",
    }
    (tmp_path / "src/p.json").write_text(f"{json.dumps([post | {'ownerId': '7'}, scraped])}\n{scraped}")
    _, rejects = ingest(spark, tmp_path, "origin=instagram")
    assert [row.reason for row in rejects] == ["bad_posted_at", "truncated_json"]
    assert not any(name in row.raw for row in rejects for name in ("ann", "bob"))


def test_labels_of_a_file_of_their_own(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "src").mkdir()
    posts_csv = "id;who;likes\n1;ann;1\n2;bob;2\n3;clear;many\n4;dan;4\n"
    (tmp_path / "src/posts.csv").write_text(posts_csv)
    lines = ["post,who,score", "1,ann,1.5", "2,bob,high", "1,ann,9", "3,clear,3", "7,eve,7", ",x,1", "8,y", "2,bob,"]
    (tmp_path / "src/labels.csv").write_text("\n".join(lines))
    mapping = tmp_path / "m.yaml"
    ids = "post_id: id\nuser_name: who\nn_likes: likes\ndelimiter: ';'\n"
    mapping.write_text(f"{ids}labels: {{source: src/labels.csv, post_id: post, label: score, delimiter: ','}}\n")
    posts, rejects = ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")
    assert {i: post.popularity for i, post in posts.items()} == {"1": 1.5, "2": None, "4": None}
    assert [(Path(row.file).name, row.line, row.reason) for row in rejects] == [
        ("labels.csv", 3, "unreadable_label"),
        ("labels.csv", 4, "duplicate_label"),
        ("labels.csv", 5, "label_without_post"),
        ("labels.csv", 6, "label_without_post"),
        ("labels.csv", 7, "unreadable_label"),
        ("labels.csv", 8, "unreadable_label"),
        ("labels.csv", 9, "unreadable_label"),
        ("posts.csv", 4, "bad_n_likes"),
    ]
    assert not any(name in row.raw for row in rejects for name in ("ann", "bob", "clear", "eve"))
    printed = capsys.readouterr().out
    assert printed.startswith("rows in              4\nposts                3\nrejected             1\n")
    assert "labels               1 of 3\n  unreadable_label                          4\n" in printed
    scores = pd.DataFrame({"post": [2, 4], "score": ["2,5", "1.000,5"], "who": ["bob", "dan"]})
    scores.to_parquet(tmp_path / "labels.parquet", index=False)
    source = "{source: labels.parquet, post_id: post, label: {column: score, decimal: ','}}"
    mapping.write_text(f"{ids}labels: {source}\n")
    (tmp_path / "src/labels.csv").unlink()
    posts, _ = ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")
    assert {i: post.popularity for i, post in posts.items()} == {"1": None, "2": 2.5, "4": 1000.5}
    mapping.write_text(f"{ids}labels: {source.replace('label: {column: score', 'label: {column: points')}\n")
    with pytest.raises(SchemaError, match=r"labels\.parquet(?s:.*)got: points"):
        ingest(spark, tmp_path, "origin=csv", f"mapping={mapping}")


def test_flickrs_sets_own_download_and_calls(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    in_set = {"id": "1", "title": "in a set", "dateupload": "1457000000", "views": "3"}
    photoset = {"photoset": {"id": "77", "owner": "9@N", "ownername": "zed", "photo": [in_set]}, "stat": "ok"}
    (tmp_path / "src/set.json").write_text(f"jsonFlickrApi({json.dumps(photoset)})")
    own = {
        "id": "2",
        "name": "Sea",
        "description": "d",
        "count_views": "12",
        "count_faves": "3",
        "count_comments": "1",
        "comments": [{"comment": "nice"}],
        "date_imported": "2016-03-03 10:13:20",
        "photopage": "https://www.flickr.com/photos/8@N00/2/",
        "original": "https://live.staticflickr.com/1/2_o.jpg",
        "tags": [{"tag": "sea", "user": "ann"}, {"tag": "blue sky"}],
    }
    (tmp_path / "src/photo_2.json").write_text(json.dumps(own))
    posts, rejects = ingest(spark, tmp_path, "origin=flickr")
    assert rejects == []
    assert (posts["1"].user_id, posts["1"].title, posts["1"].n_views) == ("9@N", "in a set", 3)
    assert "zed" not in str(posts["1"].extra)
    found = posts["2"]
    assert (found.user_id, found.title, found.caption, found.hashtags) == ("8@N00", "Sea", "d", ["sea", "blue sky"])
    assert (found.n_views, found.n_likes, found.n_comments, found.image_id) == (12, 3, 1, own["original"])
    assert found.posted_at == posts["1"].posted_at
    own["photopage"] = "https://www.flickr.com/photos/zoe/2/"
    (tmp_path / "src/photo_2.json").write_text(json.dumps([own, {**own, "id": "3", "count_views": "many"}]))
    posts, rejects = ingest(spark, tmp_path, "origin=flickr")
    assert posts["2"].user_id == hashlib.sha256(b"zoe").hexdigest()
    assert [row.reason for row in rejects] == ["bad_n_views"]
    assert not any(name in rejects[0].raw for name in ("zoe", "ann"))
    posts, _ = ingest(spark, tmp_path, "origin=flickr", "keep_user_names=true")
    assert posts["2"].user_id == "zoe"


def test_names_do_not_stand_in_the_rejects_and_extra_of_tables(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: id\nuser_name: who\nmentions: at\nn_likes: n\nextra: [who, at, page]\n")
    rows = [
        ("1", 'Ann "Zoe"\nLee', '["eve", "max"]', "https://x.com/zoe"),
        ("2", "bob", "@bob @alice", "p"),
        ("3", "h", "bob", "the hash"),
    ]
    rows += [(f"{i}1", who, at, page) for i, who, at, page in rows]
    table = pd.DataFrame(
        [(*row, "5" if int(row[0]) < 9 else "?") for row in rows], columns=["id", "who", "at", "page", "n"]
    )
    table.to_csv(tmp_path / "src/a.csv", index=False)
    table.to_parquet(tmp_path / "src/a.parquet", index=False)
    for origin in ("csv", "parquet"):
        posts, rejects = ingest(spark, tmp_path, f"origin={origin}", f"mapping={mapping}")
        assert {i: post.user_id for i, post in posts.items()} == {
            i: hashlib.sha256(who.encode()).hexdigest() for i, who, *_ in rows[:3]
        }
        assert posts["3"].extra["who"] == posts["3"].user_id
        assert [json.loads(row.raw) for row in sorted(rejects, key=lambda row: row.line)] == [
            {"id": "11", "who": "...", "at": "...", "page": "https://x.com/...", "n": "?"},
            {"id": "21", "who": "...", "at": "...", "page": "p", "n": "?"},
            {"id": "31", "who": "...", "at": "...", "page": "the hash", "n": "?"},
        ]
        clear = str([post.extra.items() for post in posts.values()])
        assert not any(name in clear.replace("x.com/zoe", "") for name in ("Zoe", "bob", "alice", "eve"))


def test_names_do_not_stand_in_bytes_that_are_not_utf8(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: id\nuser_name: who\ncaption: text\nn_likes: n\n")
    rows = [b'1,"My ""secret"" \xe9",caf\xe9,1', b"2,secret,caf\xe9,x", b"3,e,caf\xe9,x"]
    (tmp_path / "src/a.csv").write_bytes(b"\n".join([b"id,who,text,n", *rows]))
    author = {"id": "9", "username": "secret"}
    line = json.dumps(tweet("1", "caf?", author=author)).encode().replace(b"?", b"\xe9")
    (tmp_path / "src/a.jsonl").write_bytes(line + b"\n" + line.replace(b'"1"', b'"2"').replace(b"2024", b"x"))
    for settings in (("origin=csv", f"mapping={mapping}"), ("origin=x_api",)):
        posts, rejects = ingest(spark, tmp_path, *settings)
        encoded = posts["1"].extra["not_utf8_base64"]
        assert b"caf\xe9" in base64.b64decode(encoded)
        texts = [encoded, *[row.raw.split("base64:")[-1] for row in rejects if "base64:" in row.raw]]
        assert not any(b"secret" in base64.b64decode(text) for text in texts)
        assert not any("secret" in row.raw for row in rejects)
        assert len(rejects) == (2 if settings[0] == "origin=csv" else 1)
