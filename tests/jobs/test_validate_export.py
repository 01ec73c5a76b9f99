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
        "refused 5 55.6%",
        "users 3",
        "posted from 2013-03-15 20:51:09 to 2013-05-31 11:33:20 (UTC)",
        "bad_postdate 1 11.1% t1_train_data.txt:6",
        "duplicate_post_id 1 11.1% t1_train_data.txt:9",
        "n_comments 1 25.0%",
        "popularity 1 25.0%",
        "n_title_chars 0 0 3 5 34 34",
        "with undecodable text 0 0.0%",
        "collected before posted 0 0.0%",
        "flickr_views none, missing: n_views, collected_at",
        "twitter none, missing: n_shares, n_likes",
        "count of n_comments at most 3",
        "given at most 3",
        "named by a post 4 100.0%",
        "there, of those 1 25.0%",
    ]
    assert [line for line in expected if line not in lines] == []
    (absent,) = (line for line in lines if line.startswith("in no row: "))
    assert "title" in absent
    assert "n_views" in absent
