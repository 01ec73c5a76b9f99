"""Files to the images table: listing, statuses, limits, and paths that try to leave their root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from popspark.images import decode as codecs
from popspark.images.index import count_respelt, index_images, list_images, look_up_images
from popspark.images.limits import Limits
from popspark.images.table import read_images, reference
from popspark.runtime.errors import PathError, SchemaError
from popspark.storage.schemas.table import Table
from popspark.storage.tables import IMAGE_BLOBS, IMAGES
from tests.spark.features.test_extraction import jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photo graphs"
    (root / "sub").mkdir(parents=True)
    (root / "a.jpg").write_bytes(jpeg(1))
    (root / "sub" / "b ü.jpeg").write_bytes(jpeg(2, (64, 48)))
    (root / "sub" / "notes.txt").write_text("not a picture")
    (root / "empty.jpg").touch()
    (root / ".hidden.jpg").write_bytes(jpeg(3))
    (tmp_path / "secret.jpg").write_bytes(jpeg(4))
    return root


def test_a_folder_becomes_rows_with_paths_below_it(spark: SparkSession, folder: Path) -> None:
    paths, root = list_images(spark, str(folder))
    images = index_images(paths, root, Limits())
    assert images.columns == list(IMAGES.columns)
    rows = {row["image_id"]: row for row in images.collect()}
    assert {i: row["status"] for i, row in rows.items()} == {
        "a.jpg": "ok",
        "sub/b ü.jpeg": "ok",
        "sub/notes.txt": "not_an_image",
        "empty.jpg": "empty",
    }
    b = rows["sub/b ü.jpeg"]
    content = (folder / "sub" / "b ü.jpeg").read_bytes()
    assert (b["width_px"], b["height_px"], b["format"], b["n_bytes"]) == (64, 48, "JPEG", len(content))
    assert b["uri"] == str(folder / "sub" / "b ü.jpeg")
    assert b["sha256"] == codecs.sha256(content)


def test_a_glob_lists_what_matches(spark: SparkSession, folder: Path) -> None:
    paths, root = list_images(spark, f"{folder}/*/*.jpeg")
    assert root == str(folder)
    assert [row["image_id"] for row in paths.collect()] == ["sub/b ü.jpeg"]


def test_nothing_there_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="There are no photographs"):
        list_images(spark, str(tmp_path / "absent"))


def test_paths_from_a_table_stay_in_their_root(spark: SparkSession, folder: Path) -> None:
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    os.mkfifo(folder / "pipe.jpg")
    ids = [
        "pipe.jpg",
        "a.jpg",
        "gone.jpg",
        "../secret.jpg",
        str(folder.parent / "secret.jpg"),
        "link.jpg",
        "sub",
        "a.jpg",
        None,
    ]
    rows = index_images(spark.createDataFrame([(i,) for i in ids], "image_id string"), str(folder), Limits()).collect()
    assert {row["image_id"]: row["status"] for row in rows} == {
        "a.jpg": "ok",
        "gone.jpg": "missing",
        "../secret.jpg": "outside_root",
        str(folder.parent / "secret.jpg"): "outside_root",
        "link.jpg": "outside_root",
        "sub": "missing",
        "pipe.jpg": "missing",
    }
    assert len(rows) == 7
    assert all(row["uri"] is None for row in rows if row["status"] == "outside_root")


def test_an_image_removed_after_it_was_listed_is_a_row_with_the_reason(spark: SparkSession, folder: Path) -> None:
    paths, root = list_images(spark, str(folder))
    expected = {row["image_id"]: row for row in index_images(paths, root, Limits()).collect()}
    (folder / "a.jpg").unlink()
    found = {row["image_id"]: row for row in index_images(paths, root, Limits()).collect()}
    gone = found.pop("a.jpg")
    assert (gone["status"], gone["error"], gone["sha256"]) == ("missing", "there is no such file", None)
    assert expected.pop("a.jpg")["status"] == "ok"
    assert found == expected


def test_limits_hold_before_reading_and_before_decoding(spark: SparkSession, folder: Path) -> None:
    paths, root = list_images(spark, f"{folder}/*.jpg")
    small = index_images(paths, root, Limits(max_bytes=100)).collect()
    assert {r["image_id"]: r["status"] for r in small} == {"a.jpg": "too_large", "empty.jpg": "empty"}
    flat = {r["image_id"]: r for r in index_images(paths, root, Limits(max_pixels=100)).collect()}
    assert flat["a.jpg"]["status"] == "too_many_pixels"
    assert flat["a.jpg"]["error"] == "40 x 30 pixels; the limit is 100 in all"


@pytest.mark.parametrize("n", [2, 3, 40])
def test_all_tasks_get_files_however_few_and_small_they_are(spark: SparkSession, tmp_path: Path, n: int) -> None:
    for i in range(n):
        (tmp_path / f"{i}.jpg").write_bytes(jpeg(i, (8, 8)))
    paths, root = list_images(spark, str(tmp_path))
    rows = index_images(paths, root, Limits()).withColumn("task", F.spark_partition_id()).collect()
    assert len(rows) == n
    assert len({row["task"] for row in rows}) > 1


NAMES = ["a.jpg", "A.JPG", "sub\\b ü.jpeg", "/sub/b%20ü", "./a.jpg", "a.jpeg", "a\0.jpg", "", "x" * 5000]


def test_images_are_found_by_other_spellings_and_counted(spark: SparkSession, folder: Path) -> None:
    ids = spark.createDataFrame([(i,) for i in NAMES], "image_id string")
    images = index_images(ids, str(folder), Limits())
    rows = {row["image_id"]: row for row in images.collect()}
    assert {i: row["uri"] for i, row in rows.items() if row["status"] == "ok"} == {
        "a.jpg": f"{folder}/a.jpg",
        "A.JPG": f"{folder}/a.jpg",
        "./a.jpg": f"{folder}/a.jpg",
        "sub\\b ü.jpeg": f"{folder}/sub/b ü.jpeg",
        "/sub/b%20ü": f"{folder}/sub/b ü.jpeg",
    }
    assert {i: (row["status"], row["error"]) for i, row in rows.items() if row["status"] == "missing"} == {
        "a.jpeg": ("missing", "there is no such file; the nearest is a.jpg"),
        "a\0.jpg": ("missing", "the name has a NUL byte, which no file's name has"),
        "": ("missing", "the row names no image"),
    }
    assert (rows["x" * 5000]["status"], "too long" in rows["x" * 5000]["error"]) == ("unreadable", True)
    assert count_respelt(images, str(folder)) == 4
    errors = {row["image_id"]: row["error"] for row in look_up_images(ids, str(folder)).collect()}
    assert errors == {i: row["error"] if row["status"] == "missing" else None for i, row in rows.items()}


def test_what_is_listed_but_not_read_is_a_row(spark: SparkSession, folder: Path) -> None:
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(5))
    (folder / "_DSC0001.jpg").write_bytes(jpeg(6))
    images = {row["image_id"]: row for row in index_images(*list_images(spark, str(folder)), Limits()).collect()}
    assert (images["link.jpg"]["status"], images["link.jpg"]["uri"]) == ("outside_root", None)
    assert images["link.jpg"]["error"].endswith("follow_links=true reads it")
    assert [images[i]["status"] for i in ("caf%E9.jpg", "_DSC0001.jpg")] == ["ok", "ok"]
    followed = index_images(*list_images(spark, str(folder), follow_links=True), Limits(), follow_links=True)
    assert {row["image_id"]: row["status"] for row in followed.collect()}["link.jpg"] == "ok"


@pytest.mark.parametrize("table", [IMAGES, IMAGE_BLOBS], ids=["index", "bytes"])
def test_an_image_that_was_refused_is_not_opened_again(spark: SparkSession, table: Table) -> None:
    given = {"uri": "/there.jpg", "content": b"x", "sha256": "0" * 64, "n_bytes": 1}
    rows = [
        tuple({**given, "image_id": status, "status": status}.get(name) for name in table.columns)
        for status in ("ok", "too_many_pixels")
    ]
    images = spark.createDataFrame(rows, table.schema)
    taken = images.select("image_id", reference(images).alias("image")).collect()
    found = {row["image_id"]: row["image"] for row in taken}
    for name in {"uri", "content"} & set(table.columns):
        assert found["ok"][name] == given[name]
        assert found["too_many_pixels"][name] is None


def test_a_table_of_bytes_has_each_image_once(spark: SparkSession, tmp_path: Path) -> None:
    columns = IMAGE_BLOBS.schema
    rows = [("a", None, 1, None, None, None, "ok", None, b"x"), ("b", None, 1, None, None, None, "ok", None, b"y")]
    spark.createDataFrame(rows, columns).write.parquet(str(tmp_path / "once"))
    assert "content" in read_images(spark, str(tmp_path / "once")).columns
    spark.createDataFrame([*rows, rows[0]], columns).write.parquet(str(tmp_path / "twice"))
    with pytest.raises(SchemaError, match=r"An image_id stands more than once(?s:.*)got: a, 2 times"):
        read_images(spark, str(tmp_path / "twice"))
