"""Each origin's export in tests/exports through the one command: what became of every row of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from popspark.jobs.ingest_posts import Config, main
from popspark.runtime.config import Env, load_config
from popspark.runtime.errors import ConfigError, PathError, SchemaError
from popspark.storage.tables import POSTS, REJECTS
from popspark.storage.warehouse import read_table

EXPORTS = Path(__file__).resolve().parents[1] / "exports"
Found = tuple[dict[str, Row], list[tuple[str, int, str]], str]


@pytest.fixture(autouse=True, scope="module")
def _interpreted(spark: SparkSession) -> Iterator[None]:
    """Rows are few here: compiling the plans would take ten times as long as running them."""
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    before = {name: spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name, old in before.items():
        spark.conf.set(name, str(old))


@pytest.fixture
def ingest(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the job; returns the posts by id, the rejects as (file name, line, reason), and what was printed."""

    def run(origin: str, source: Path, **options: Any) -> Found:
        values: dict[str, Any] = {
            "collected_at": None,
            "keep_user_names": False,
            "user_name_salt": "",
            "mapping": None,
            "is_simulated": False,
        }
        paths = {name: str(tmp_path / name) for name in ("posts", "rejects")}
        env = Env(warehouse=str(tmp_path))
        main(Config(env=env, origin=origin, source=str(source), **paths, **{**values, **options}))
        posts = {row.post_id: row for row in read_table(spark, POSTS, paths["posts"]).collect()}
        rejects = read_table(spark, REJECTS, paths["rejects"]).collect()
        assert {row.origin for row in posts.values()} | {row.origin for row in rejects} == {origin}
        return posts, sorted((Path(r.file).name, r.line, r.reason) for r in rejects), capsys.readouterr().out

    return run


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def has(row: Row, **expected: Any) -> None:
    assert {name: row[name] for name in expected} == expected


def test_smp_t1(ingest: Any) -> None:
    posts, rejects, printed = ingest("smp_t1", EXPORTS / "smp_t1")
    assert set(posts) == {"458398", "458399", "458400", "9001"}
    has(
        posts["458398"],
        user_id="306@N63",
        posted_at=datetime(2013, 3, 15, 20, 51, 9),
        n_comments=0,
        has_people=False,
        n_title_chars=34,
        n_hashtags=14,
        user_mean_views=103.46,
        n_user_groups=542,
        user_mean_group_members=3841.0,
        popularity=6.25,
        image_id="train/306@N63/458398.jpg",
        title=None,
        n_views=None,
        extra={"part": "train"},
    )
    has(posts["458399"], posted_at=posts["458398"].posted_at, n_comments=1200, has_people=True, popularity=1.0)
    has(posts["458400"], posted_at=posts["458398"].posted_at, n_comments=None, popularity=3.5)
    has(posts["9001"], popularity=None, extra={"part": "test"})
    assert rejects == [
        ("t1_train_data.txt", 5, "wrong_field_count"),
        ("t1_train_data.txt", 6, "bad_postdate"),
        ("t1_train_data.txt", 7, "bad_commentcount"),
        ("t1_train_data.txt", 9, "duplicate_post_id"),
        ("t1_train_data.txt", 10, "not_utf8"),
    ]
    assert printed.startswith("rows in              9\nposts                4\nrejected             5\n")


def test_smp_t1_labels_by_id_and_without_a_post_in_a_zip(ingest: Any, tmp_path: Path) -> None:
    data = "1 9@N1 1370000000 2 1 5 6 7 8.5 9 10\n2 9@N1 1370000000 2 1 5 6 7 8.5 9 10\n"
    labels = "pid\tuid\tpopularityscore\n2\t9@N1\t5.5\n1\t9@N1\tlow\n3\t9@N1\t7.5\n"
    path = tmp_path / "smp.zip"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("t1/t1_train_data.txt", data)
        container.writestr("t1/t1_train_label.txt", labels)
        container.writestr("__MACOSX/t1/t1_train_data.txt", "junk")
    posts, rejects, _ = ingest("smp_t1", path)
    assert {i: p.popularity for i, p in posts.items()} == {"2": 5.5}
    assert rejects == [("t1_train_data.txt", 1, "bad_popularityscore"), ("t1_train_label.txt", 4, "label_without_post")]


def test_smp_t1_labels_of_another_number_are_refused(ingest: Any, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    (export / "t1_train_data.txt").write_text("1 9@N1 1370000000 2 1 5 6 7 8.5 9 10\n")
    (export / "t1_train_label.txt.gz").write_bytes(gzip.compress(b"popularityscore\n1\n2\n"))
    posts, rejects, _ = ingest("smp_t1", export)
    assert {i: p.popularity for i, p in posts.items()} == {"1": None}
    assert rejects == [("t1_train_label.txt.gz", n, "labels_do_not_line_up") for n in (2, 3)]


def test_smpd_2018(ingest: Any, spark: SparkSession, tmp_path: Path) -> None:
    posts, rejects, printed = ingest("smpd", EXPORTS / "smpd_2018")
    has(
        posts["101"],
        user_id="1@N1",
        title='Say "cheese" \\ now',
        hashtags=["sea", "sun"],
        posted_at=datetime(2016, 3, 3, 10, 13, 20),
        popularity=6.5,
        image_id="train/1@N1/101.jpg",
        media_type="photo",
    )
    assert posts["101"].extra["subcategory"] == "Girls,Fashion"
    has(posts["102"], title="two\nlines", hashtags=[], popularity=1.0)
    assert posts["102"].extra["user_name"] == sha256("alias_1")
    assert posts["102"].extra["longitude"] == "13.373097"
    has(posts["106"], title=None, hashtags=None, popularity=5.5, media_type="video")
    has(posts["201"], title="soup", popularity=None, image_id="test/9@N9/201.jpg")
    assert set(posts) == {"101", "102", "106", "201"}
    assert rejects == [
        ("train_data.txt", 3, "wrong_field_count"),
        ("train_data.txt", 4, "wrong_field_count"),
        ("train_data.txt", 5, "bad_Postdate"),
    ]
    assert "labels               3 of 4" in printed
    raw = [row.raw for row in read_table(spark, REJECTS, str(tmp_path / "rejects")).collect()]
    assert not any("alias_1" in text for text in raw)


def test_smpd_2018_with_headers_labels_and_images(ingest: Any, tmp_path: Path) -> None:
    rows = [
        f'"{i}@N" "{i}" "c" "s" "k" "None" "1" "ready" "a \\"b\\"" "photo" "x" "1457000000" "0" "0" "0"'
        for i in range(3)
    ]
    header = (EXPORTS / "smpd_2018/test_data.txt").read_text().splitlines()[0]
    (tmp_path / "t2_train_data.txt").write_text("\n".join([header, *rows]))
    (tmp_path / "t2_train_label.txt").write_text("popularityscore\n1\nhigh\n3\n")
    (tmp_path / "t2_train_img.txt").write_text("a/0@N/0.jpg\na/1@N/1.jpg\na/9@N/9.jpg\n")
    (tmp_path / "t1_train_data.txt").write_text("of another task\n")
    posts, rejects, _ = ingest("smpd", tmp_path)
    assert {i: (p.title, p.popularity, p.image_id) for i, p in posts.items()} == {"0": ('a "b"', 1.0, "a/0@N/0.jpg")}
    assert rejects == [("t2_train_data.txt", 2, "bad_label"), ("t2_train_data.txt", 3, "rows_do_not_line_up")]
    (tmp_path / "t2_train_label.txt").write_text("popularityscore\n1\n2\n")
    posts, rejects, _ = ingest("smpd", tmp_path)
    assert {i: p.popularity for i, p in posts.items()} == {"0": None, "1": None}
    labels = [("t2_train_label.txt", line, "labels_do_not_line_up") for line in (1, 2)]
    assert rejects == [("t2_train_data.txt", 3, "rows_do_not_line_up"), *labels]


def test_smpd_2019(ingest: Any) -> None:
    posts, rejects, _ = ingest("smpd", EXPORTS / "smpd_2019")
    has(
        posts["101"],
        user_id="1@N1",
        title='A "quoted" }, {"Uid": title',
        hashtags=["sea", "sun"],
        posted_at=datetime(2016, 3, 3, 10, 13, 20),
        n_user_posts=1500,
        popularity=6.5,
        image_id="train/1@N1/101.jpg",
        media_type="photo",
    )
    has(posts["102"], title="two\nlines", hashtags=None, posted_at=posts["101"].posted_at, popularity=1.0)
    has(posts["103"], title="tile", hashtags=[], n_hashtags=0, n_user_posts=None, image_id=None)
    assert posts["103"].posted_at == posts["101"].posted_at
    assert "concept" not in posts["101"].extra
    assert posts["102"].extra["user_name"] == sha256("alias1")
    places = "train_temporalspatial_information.json"
    assert rejects == [(places, 4, "rows_do_not_line_up"), (places, 5, "bad_Postdate"), (places, 6, "bad_photo_count")]


def test_smpd_2020(ingest: Any) -> None:
    posts, rejects, _ = ingest("smpd", EXPORTS / "smpd_2020", keep_user_names=True)
    assert {i: (p.title, p.n_user_posts, p.popularity) for i, p in posts.items()} == {
        "101": ("title 0", 0, None),
        "102": ("title 1", 1, None),
    }
    assert posts["101"].extra["user_name"] == "a"
    assert rejects == [
        ("train_label.txt", 1, "labels_do_not_line_up"),
        ("train_label.txt", 2, "labels_do_not_line_up"),
        ("train_temporalspatial.json", 3, "truncated_json"),
        ("train_userdata.json", 4, "row_without_post"),
    ]


@pytest.mark.parametrize(("origin", "export"), [("smp_t1", "smp_t1"), ("smpd", "smpd_2020/train_all_json")])
def test_names_of_files_in_capitals(ingest: Any, tmp_path: Path, origin: str, export: str) -> None:
    loud = tmp_path / "loud"
    loud.mkdir()
    for path in (EXPORTS / export).iterdir():
        shutil.copy(path, loud / path.name.upper())
    posts, rejects, _ = ingest(origin, EXPORTS / export)
    rejects = sorted((name.upper(), line, reason) for name, line, reason in rejects)
    assert ingest(origin, loud)[:2] == (posts, rejects)


def test_smpd_packed_equals_plain(ingest: Any, tmp_path: Path) -> None:
    export, packed = tmp_path / "export", tmp_path / "packed"
    export.mkdir()
    n = 400
    rows = [{"Uid": f"{i % 7}@N", "Pid": str(i)} for i in range(n)]
    title = ['x }, {"Uid": "', "zwei é\n", '\\"}, {']
    files = {
        "train_temporalspatial.json": [{**r, "Postdate": 1457000000 + i} for i, r in enumerate(rows)],
        "train_tags.json": [{**r, "Title": title[i % 3] * (i % 5), "Alltags": "a b"} for i, r in enumerate(rows)],
    }
    for name, table in files.items():
        (export / name).write_text(json.dumps(table, ensure_ascii=False))
    (export / "train_label.txt").write_text("".join(f"{i}\n" for i in range(n)))
    shutil.copytree(export, packed)
    for path in list(packed.iterdir()):
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    whole, rejects, _ = ingest("smpd", export)
    assert rejects == []
    expected = {str(i): (files["train_tags.json"][i]["Title"], float(i)) for i in range(n)}
    assert {i: (p.title, p.popularity) for i, p in whole.items()} == expected
    streamed, rejects, _ = ingest("smpd", packed)
    assert (streamed, rejects) == (whole, [])


MADE = {
    "train_temporalspatial.json": [{"Uid": f"{i % 7}@N", "Pid": str(i), "Postdate": 1457000000 + i} for i in range(90)],
    "train_tags.json": [{"Uid": f"{i % 7}@N", "Pid": str(i), "Title": f"t{i}"} for i in range(90)],
}


def test_smpd_whose_rows_are_odd_in_the_middle_of_a_table(ingest: Any, spark: SparkSession, tmp_path: Path) -> None:
    """A malformed row, a foreign one, one that repeats and one that is not UTF-8."""
    tables = {name: [json.dumps(row).encode() for row in rows] for name, rows in MADE.items()}
    tables["train_tags.json"][30] = b'{"Uid": "2@N", "Pid": "30", "Title": "an "unescaped" quote"}'
    tables["train_tags.json"][50] = b'{"Uid": "1@N", "Pid": "50", "Title": "caf\xe9"}'
    tables["train_tags.json"][51] = b'{"Uid": "2@N", "Pid": "999"}'
    for rows in tables.values():
        rows[70] = rows[69]
    export = tmp_path / "export"
    export.mkdir()
    for name, rows in tables.items():
        (export / name).write_bytes(b"[" + b", ".join(rows) + b"]")
    (export / "train_label.txt").write_bytes(b"".join(b"%d\r\n" % i for i in range(90)))
    posts, rejects, _ = ingest("smpd", export)
    places = "train_temporalspatial.json"
    assert rejects == [(places, 31, "not_json"), (places, 52, "rows_do_not_line_up"), (places, 71, "duplicate_post_id")]
    assert len(posts) == 87
    has(posts["50"], title="caf\ufffd", popularity=50.0)
    assert base64.b64decode(posts["50"].extra["not_utf8_base64"]) == tables["train_tags.json"][50]
    raw = {row.line: row.raw for row in read_table(spark, REJECTS, str(tmp_path / "rejects")).collect()}
    assert raw == {
        n: "\n".join([*(rows[n - 1].decode() for rows in tables.values()), str(n - 1)]) for n in (31, 52, 71)
    }


@pytest.mark.parametrize("collected_at", [None, "2025-01-02"])
def test_smpd_whose_values_are_odd(ingest: Any, tmp_path: Path, collected_at: str | None) -> None:
    """Posts of which each is odd in its own way: absent, in another form, or not to be read."""
    n = 23
    ids = [{"Uid": f"{i % 4}@N", "Pid": str(100 + i)} for i in range(n)]
    paths = [f"train/{i % 4}@N/{100 + i}.jpg" for i in range(n)]
    scores = [f"{i}.5" for i in range(n)]
    tables: dict[str, list[dict[str, Any]]] = {
        "train_temporalspatial.json": [{**one, "Postdate": "1457000000"} for one in ids],
        "train_tags.json": [{**one, "Title": "a title", "Alltags": "sea sun", "Mediatype": "Photo"} for one in ids],
        "train_userdata.json": [{**one, "photo_count": "12"} for one in ids],
        "train_additional.json": [{**one, "Pathalias": "name", "Ispublic": "1"} for one in ids],
    }
    places, tags, users, _ = tables.values()
    places[1] |= {"Postdate": "2016-03-03T10:00:00+02:00", "Latitude": "0"}
    places[2] |= {"Postdate": None, "Latitude": "None"}
    places[3] |= {"Postdate": "never"}
    places[4] |= {"Pid": "104.0"}
    places[5] |= {"Uid": ""}
    tags[1] |= {"Title": "", "Alltags": "  sea  sun "}
    tags[2] |= {"Title": "None", "Alltags": "None"}
    tags[6] |= {"Title": "zwei é ☀\n", "Alltags": "sea\tsun", "Mediatype": "İmage"}
    tags[7] |= {"Title": None, "Tile": "tile", "Mediatype": "VIDEO"}
    tags[8] |= {"Uid": "9@N"}
    tags[9] |= {"Alltags": None, "Mediatype": "None", "Title": "\ud800"}
    users[10] |= {"photo_count": "75.2k", "ispro": 1}
    users[11] |= {"photo_count": "many"}
    users[12] |= {"photo_count": None, "timezone_id": "CET"}
    paths[13:17] = ["", "train/x/y.jpg", "2@N/115.png", "0@N/116.jpg"]
    scores[17:20] = ["", "1e1", "high"]
    tags[20], tags[21] = {}, [1]  # type: ignore[call-overload]  # an element that is no object
    for name, rows in tables.items():
        (tmp_path / name).write_text(json.dumps(rows))
    (tmp_path / "train_img.txt").write_text("\n".join(paths))
    (tmp_path / "train_label.txt").write_text("\n".join(scores))
    posts, rejects, _ = ingest("smpd", tmp_path, collected_at=collected_at)
    assert [(line - 1, reason) for _, line, reason in rejects] == [
        (3, "bad_Postdate"),
        (5, "missing_id"),
        (8, "rows_do_not_line_up"),
        (11, "bad_photo_count"),
        (14, "rows_do_not_line_up"),
        (15, "rows_do_not_line_up"),
        (19, "bad_label"),
        (20, "rows_do_not_line_up"),
        (21, "not_json"),
    ]
    known = {"part": "train", "is_public": "1", "user_name": sha256("name")}
    usual = {
        "posted_at": datetime(2016, 3, 3, 10, 13, 20),
        "title": "a title",
        "n_title_chars": 7,
        "hashtags": ["sea", "sun"],
        "n_hashtags": 2,
        "media_type": "photo",
        "n_user_posts": 12,
        "n_media": 1,
        "collected_at": datetime(2025, 1, 2) if collected_at else None,
        "extra": known,
    }
    odd: dict[int, dict[str, Any]] = {
        1: {"posted_at": datetime(2016, 3, 3, 8), "title": "", "n_title_chars": 0, "extra": {**known, "latitude": "0"}},
        2: {"posted_at": None, "title": None, "n_title_chars": None, "hashtags": None, "n_hashtags": None},
        6: {"title": "zwei é ☀\n", "n_title_chars": 9, "media_type": "i̇mage"},
        7: {"title": "tile", "n_title_chars": 4, "media_type": "video"},
        9: {"title": "\ufffd", "n_title_chars": 1, "hashtags": None, "n_hashtags": None, "media_type": None},
        10: {"n_user_posts": 75_200, "extra": {**known, "is_pro": "1"}},
        12: {"n_user_posts": None, "extra": {**known, "timezone_id": "CET"}},
        13: {"image_id": None},
        16: {"image_id": "0@N/116.jpg"},
        17: {"popularity": None},
        18: {"popularity": 10.0},
    }
    for i in set(range(n)) - {line - 1 for _, line, _ in rejects}:
        rest = {"user_id": f"{i % 4}@N", "image_id": paths[i], "popularity": i + 0.5}
        has(posts[str(100 + i)], **{**usual, **rest, **odd.get(i, {})})


def test_smpd_a_split_without_a_table_that_the_other_has(ingest: Any, tmp_path: Path) -> None:
    rows = MADE["train_temporalspatial.json"]
    (tmp_path / "train_temporalspatial.json").write_text(json.dumps(rows[:3]))
    (tmp_path / "train_tags.json").write_text(json.dumps(MADE["train_tags.json"][:3]))
    (tmp_path / "train_img.txt").write_text("train/0@N/0.jpg\n\ntrain/2@N/2.jpg\n")
    (tmp_path / "test_temporalspatial.json").write_text(json.dumps(rows[3:5]))
    posts, rejects, _ = ingest("smpd", tmp_path)
    assert rejects == []
    assert {i: (post.title, post.image_id) for i, post in posts.items()} == {
        "0": ("t0", "train/0@N/0.jpg"),
        "1": ("t1", None),
        "2": ("t2", "train/2@N/2.jpg"),
        "3": (None, "test/3@N/3.jpg"),
        "4": (None, "test/4@N/4.jpg"),
    }
    (tmp_path / "train_tags.json.gz").write_bytes(gzip.compress(b"[]"))
    with pytest.raises(PathError, match="Two files of the export are the same table"):
        ingest("smpd", tmp_path)


def test_smpd_tables_of_other_lengths(ingest: Any, tmp_path: Path) -> None:
    """What the first table does not reach is refused; beyond it, each row of the others is a reject."""
    (tmp_path / "train_temporalspatial.json").write_text(json.dumps(MADE["train_temporalspatial.json"][:5]))
    (tmp_path / "train_tags.json").write_text(json.dumps(MADE["train_tags.json"][:8]))
    (tmp_path / "train_category.json").write_text(json.dumps(MADE["train_tags.json"][:3]))
    (tmp_path / "train_img.txt").write_text("".join(f"train/{i % 7}@N/{i}.jpg\n" for i in range(4)) + "\n\nx\n\n")
    (tmp_path / "train_label.txt").write_text("1\n2\n\n4\n")
    posts, rejects, _ = ingest("smpd", tmp_path)
    assert {post.image_id for post in posts.values()} == {f"train/{i}@N/{i}.jpg" for i in range(3)}
    assert rejects == [
        ("train_img.txt", 7, "row_without_post"),
        *[("train_label.txt", line, "labels_do_not_line_up") for line in (1, 2, 4)],
        *[("train_tags.json", line, "row_without_post") for line in (6, 7, 8)],
        *[("train_temporalspatial.json", line, "rows_do_not_line_up") for line in (4, 5)],
    ]


def test_smpd_one_table_by_columns_and_one_packed_beside_plain_ones(ingest: Any, tmp_path: Path) -> None:
    rows = MADE["train_tags.json"]
    (tmp_path / "train_temporalspatial.json").write_text(json.dumps(MADE["train_temporalspatial.json"]))
    (tmp_path / "train_tags.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    columns = {key: {str(i): row[key] for i, row in enumerate(rows)} for key in ("Uid", "Pid")}
    columns["photo_count"] = {str(i): i for i in range(90)}
    (tmp_path / "train_userdata.json").write_text(json.dumps(columns))
    (tmp_path / "train_label.txt").write_text("".join(f"{i}\n" for i in range(90)))
    posts, rejects, _ = ingest("smpd", tmp_path)
    assert rejects == []
    found = {i: (post.title, post.n_user_posts, post.popularity) for i, post in posts.items()}
    assert found == {str(i): (f"t{i}", i, float(i)) for i in range(90)}


def test_x_api(ingest: Any) -> None:
    posts, rejects, _ = ingest("x_api", EXPORTS / "x_api", user_name_salt="s")
    assert set(posts) == {"1", "3", "5", "6", "7", "8", "9", "20", "21"}
    has(
        posts["1"],
        user_id="7",
        posted_at=datetime(2022, 5, 1, 10),
        collected_at=None,
        caption="sea #sun @bob 1",
        hashtags=["sun"],
        mentions=[sha256("sBob")],
        n_likes=9,
        n_shares=3,
        n_comments=1,
        n_views=None,
        n_user_posts=40,
        image_id="https://pbs.twimg.com/media/a.jpg",
        n_media=2,
        media_type="photo",
    )
    assert posts["1"].extra == {"n_quotes": "2", "n_followers": "500", "user_name": sha256("sAnn")}
    has(posts["3"], hashtags=[], mentions=[], n_media=0, image_id=None)
    has(posts["6"], caption="thé", collected_at=datetime(2022, 6, 1))
    has(posts["8"], user_id="7", collected_at=datetime(2022, 6, 2), image_id="https://pbs.twimg.com/media/b.jpg")
    has(posts["9"], caption="bad \ufffd byte")
    assert "not_utf8_base64" in posts["9"].extra
    assert rejects == [
        ("page.json", 1, "api_error"),
        ("page.json", 1, "bad_created_at"),
        ("page.json", 1, "retweet"),
        ("truncated.json", 1, "truncated_json"),
        ("twarc.jsonl", 4, "not_json"),
        ("twarc.jsonl", 5, "duplicate_post_id"),
        ("twarc.jsonl", 6, "not_json"),
        ("twarc.jsonl", 7, "not_a_tweet_or_page"),
    ]


def test_flickr(ingest: Any) -> None:
    posts, rejects, _ = ingest("flickr", EXPORTS / "flickr", collected_at="2016-04-03T00:00:00Z")
    has(
        posts["1"],
        user_id="9@N9",
        title="Sea",
        caption="",
        n_caption_chars=0,
        hashtags=["bluesea", "sun"],
        has_people=True,
        n_views=75200,
        n_comments=3,
        posted_at=datetime(2016, 3, 3, 10, 13, 20),
        collected_at=datetime(2016, 4, 3),
        image_id="https://live.staticflickr.com/65/1_s.jpg",
    )
    has(posts["2"], n_views=5, has_people=False, hashtags=[], n_hashtags=0)
    has(posts["11"], user_id="8@N8", title="Hill", caption="d", hashtags=["hill", "green"], has_people=None)
    assert posts["11"].extra == {"user_name": sha256("Max")}
    assert set(posts) == {"1", "2", "11"}
    assert rejects == [
        ("infos.jsonl", 2, "api_error"),
        ("infos.jsonl", 3, "bad_n_views"),
        ("search.json", 1, "missing_id"),
    ]


def test_csv(ingest: Any) -> None:
    mapping = str(EXPORTS / "csv" / "mapping.yaml")
    posts, rejects, _ = ingest("csv", EXPORTS / "csv" / "tweets.csv", mapping=mapping)
    when = datetime(2022, 5, 1, 10)
    has(posts["1"], user_id=sha256("ann"), caption='two\nlines, and "quotes"', hashtags=["sea", "sun"], posted_at=when)
    has(posts["1"], n_likes=75200, n_shares=1234, image_id="https://e.org/1.jpg", extra={"lang": "en"})
    has(posts["2"], caption='an "unescaped" quote', hashtags=["sea", "sun"], posted_at=when, image_id=None)
    has(posts["4"], hashtags=None, n_likes=3_000_000, image_id=None, posted_at=datetime(2022, 5, 1))
    has(posts["8"], caption="caf\ufffd")
    assert set(posts) == {"1", "2", "4", "8"}
    assert rejects == [
        ("tweets.csv", 5, "wrong_field_count"),
        ("tweets.csv", 7, "wrong_field_count"),
        ("tweets.csv", 8, "missing_id"),
        ("tweets.csv", 9, "bad_n_likes"),
        ("tweets.csv", 10, "duplicate_post_id"),
    ]


def test_parquet_and_twice_with_the_same_result(ingest: Any, spark: SparkSession, tmp_path: Path) -> None:
    rows = [(1, "u", datetime(2020, 1, 1), ["a", "b"], 5), (2, None, None, None, None), (3, "v", None, [], -1)]
    source = tmp_path / "export"
    spark.createDataFrame(rows, "id long, who string, at timestamp, tags array<string>, likes int").coalesce(
        1
    ).write.parquet(str(source))
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: id\nuser_id: who\nposted_at: at\nhashtags: tags\nn_likes: likes\n")
    first = ingest("parquet", source, mapping=str(mapping))
    has(first[0]["1"], user_id="u", posted_at=datetime(2020, 1, 1), hashtags=["a", "b"], n_likes=5, n_hashtags=2)
    assert [(line, reason) for _, line, reason in first[1]] == [(2, "missing_id"), (3, "bad_n_likes")]
    assert ingest("parquet", source, mapping=str(mapping)) == first


def test_what_cannot_be_read_says_so(ingest: Any, tmp_path: Path) -> None:
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(PathError, match="There is no file to read"):
        ingest("x_api", empty)
    with pytest.raises(PathError, match="These are not the files of SMP-T1"):
        ingest("smp_t1", EXPORTS / "x_api")
    with pytest.raises(ConfigError, match=r"Input should be 'smp_t1', 'smpd'(?s:.*)Did you mean 'smpd'"):
        load_config(Config, ["origin=smp_d", f"source={EXPORTS}"])
    with pytest.raises(ConfigError, match="A column mapping belongs to the origins csv and parquet"):
        ingest("csv", EXPORTS / "csv")
    mapping = tmp_path / "m.yaml"
    mapping.write_text("post_id: tweet_id\nuser_id: author\n")
    with pytest.raises(SchemaError, match=r"columns that the mapping names(?s:.*)got: tweet_id"):
        ingest("csv", EXPORTS / "csv" / "tweets.csv", mapping=str(mapping))
    mapping.write_text("post_id: tweet\nuser_id: author\nlikes: likes\n")
    with pytest.raises(ConfigError, match=r"no column of the posts table(?s:.*)got: likes"):
        ingest("csv", EXPORTS / "csv" / "tweets.csv", mapping=str(mapping))
