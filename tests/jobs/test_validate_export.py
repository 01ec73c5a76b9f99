"""What the page says of an export, checked against the export's own fixture."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from popspark.jobs.validate_export import Config, main
from popspark.runtime.config import Env

EXPORTS = Path(__file__).resolve().parents[1] / "exports"


def test_the_page_of_smp_t1(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    (images / "train/306@N63").mkdir(parents=True)
    (images / "train/306@N63/458398.jpg").write_bytes(b"jpeg")
    page = tmp_path / "pages" / "t1.txt"
    main(
        Config(
            env=Env(warehouse=str(tmp_path)),
            origin="smp_t1",
            source=str(EXPORTS / "smp_t1"),
            images_root=str(images),
            page=str(page),
            mapping=None,
        )
    )
    text = page.read_text("utf-8")
    assert capsys.readouterr().out == text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    prefix = (EXPORTS / "smp_t1").as_posix()
    assert {line.replace(f"file:{prefix}/", "").replace(f"{prefix}/", "") for line in lines[3:7]} == {
        "left out README.txt",
        "read t1_test_data.txt",
        "read t1_train_data.txt",
        "read t1_train_label.txt",
    }
    expected = [
        "in the export 9",
        "can be posts 4 44.4%",
        "rejected 5 55.6%",
        "users 3",
        "posted from 2013-03-15 20:51:09 to 2013-05-31 11:33:20 (UTC)",
        "bad_postdate 1 11.1% t1_train_data.txt:6",
        "duplicate_post_id 1 11.1% t1_train_data.txt:9",
        "n_comments 1 25.0%",
        "popularity 1 25.0%",
        "n_title_chars 0 0 3 5 34 34",
        "nothing",
        "flickr_views none, n_views and collected_at are missing",
        "twitter none, n_shares and n_likes are missing",
        "count of n_comments 3 of 4: missing_counts 1",
        "given 3 of 4: missing_label 1",
        "named by a post 4 100.0%",
        "there, of those 1 25.0%",
        "train/306@N63/458399.jpg: there is no such file; the nearest is train/306@N63/458398.jpg",
    ]
    assert [line for line in expected if line not in lines] == []
    (absent,) = (line for line in lines if line.startswith("in no row: "))
    assert "title" in absent
    assert "n_views" in absent


def test_what_is_odd_about_an_export(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/Sea.jpg").touch()
    moment = "2020-01-01T00:00:00Z"
    rows = [f"{i},ann,{moment},2020-02-01,{i},9,sea.jpg,fine" for i in range(8)]
    rows += ["8,bob,2098-07-13T10:00:00Z,2020-02-01,12000000000,1,hill.jpg,caf\udce9 au lait", rows[0], "9,bob,?,,,,,"]
    header = "id,who,at,seen,likes,views,photo,text"
    (tmp_path / "posts.csv").write_bytes("\n".join([header, *rows]).encode("utf-8", "surrogateescape"))
    (tmp_path / "labels.csv").write_text("id,score\n1,2.5\n99,1\n")
    mapping = tmp_path / "m.yaml"
    mapping.write_text(
        "post_id: id\nuser_id: who\nposted_at: at\ncollected_at: seen\nn_likes: likes\nn_views: views\n"
        "image_id: photo\ncaption: text\nlabels: {source: labels.csv, post_id: id, label: score}\n"
    )
    main(
        Config(
            env=Env(warehouse=str(tmp_path)),
            origin="csv",
            source=str(tmp_path / "posts.csv"),
            images_root=str(tmp_path / "photos"),
            mapping=str(mapping),
        )
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    expected = [
        "in the export 11",
        "can be posts 9 81.8%",
        "duplicate_post_id 1 9.1% posts.csv:11",
        "bad_posted_at 1 9.1% posts.csv:12",
        "posted in the future 1 11.1%",
        "collected before posted 1 11.1%",
        "posted at midnight UTC to the second 8 88.9%",
        "posted at one moment, 2020-01-01 00:00:00 UTC 8 88.9%",
        "more likes than views 1 11.1%",
        "a count over 10,000,000,000 1 11.1%",
        "text that could not be decoded in posts.csv 1 11.1%",
        "first in line 10: as cp1252 it would be 'hill.jpg,caf\u00e9 au lait'",
        "flickr_views 8 of 9: collected_before_posted 1",
        "twitter none, n_shares is missing",
        "count of n_likes 8 of 9: collected_before_posted 1",
        "given 1 of 9: missing_label 8",
        "label_without_post 1 50.0% labels.csv:3",
        "there, of those 8 88.9%",
        "hill.jpg: there is no such file",
    ]
    assert [line for line in expected if line not in lines] == []
