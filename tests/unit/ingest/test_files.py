"""What is said of files that are left out, and what by its name is no JSON."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from popspark.ingest.readers.files import Files, cannot_be_json, kind_of
from popspark.ingest.readers.records import Layout, iter_records
from popspark.ingest.readers.texts import iter_names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("b.CSV.bz2", ".csv.bz2"),
        ("d.csv.1", ".csv.N"),
        ("d.csv.20240501", ".csv.N"),
        ("e.dat", ".dat"),
        ("a.b/part-00000", "without an ending"),
        ("t3.json.zst", ".json.zst"),
        ("part-0.c000.snappy.parquet", ".parquet"),
        ("README.txt", "README"),
        ("readme", "README"),
        ("z.zip!/__MACOSX/._a.json", "in __MACOSX"),
        ("a/Thumbs.db", "Thumbs.db"),
        ("z.zip!/.DS_Store", ".DS_Store"),
    ],
)
def test_the_kind_of_a_file(name: str, kind: str) -> None:
    assert kind_of(f"file:/a.b/{name}") == kind


def test_the_line() -> None:
    assert str(Files("/a", ["/a/a.csv"], [], [])) == ""
    left_out = [f"file:/a/{name}" for name in ("b.csv.bz2", "d.csv.1", "d.csv.2", "part-0")]
    files = Files("/a", [], left_out, ["file:/a/_f.csv", "file:/a/.DS_Store", "file:/a/_old/h.csv"])
    assert str(files) == (
        "Left out, as this origin does not read them: 2 .csv.N, 2 hidden (a name that begins with _ or .), "
        "1 .DS_Store, 1 .csv.bz2, 1 without an ending; file:/a/b.csv.bz2 the first"
    )
    many = Files("/a", [], [f"/a/a.k{i:02}" for i in range(15)], [])
    assert str(many).endswith(", 1 .k11, 3 of other kinds; /a/a.k00 the first")


@pytest.mark.parametrize("name", ["a.JPG", "README", "README.md", "Thumbs.db", ".DS_Store", "__MACOSX/a.json", "b.csv"])
def test_no_json_by_its_name(name: str) -> None:
    assert cannot_be_json(name)
    assert cannot_be_json(f"export/{name}")


@pytest.mark.parametrize("name", ["a.json", "a.txt", "tweets.js", "a", "readme.json", "jpg", "a.jpg.json", "a.json.gz"])
def test_json_by_its_name(name: str) -> None:
    assert not cannot_be_json(name)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_that_are_no_json_are_left_out(tmp_path: Path, kind: str) -> None:
    names = ["a.json", "README.txt", "photos/a.jpg", "Thumbs.db", "notes.txt", ".hidden.json"]
    (tmp_path / "x").write_text("{}")
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name in names:
                archive.write(tmp_path / "x", name)
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            for name in names:
                archive.add(tmp_path / "x", name)
    path = str(tmp_path / f"a.{kind}")
    assert list(iter_names(path)) == [f"{path}!/{name}" for name in names]
    read = [record.file.rpartition("!/")[2] for record in iter_records(path, Layout("json"))]
    assert read == ["a.json", "notes.txt"]
    (tmp_path / f"a.{kind}").write_bytes(b"PK")
    assert list(iter_names(path)) == []
