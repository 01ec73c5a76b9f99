"""SMPD's plain rows are written without Spark: the same posts as by Spark's SQL, whatever stands beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from popspark.ingest import Options, Parsed, parse_export, side_by_side
from popspark.ingest.accounting import Counts, write_posts
from popspark.ingest.readers.plain_posts import HIDDEN
from popspark.storage.tables import POSTS, REJECTS
from popspark.storage.warehouse import read_table

ODD: dict[str, dict[int, dict[str, Any]]] = {
    "train_temporalspatial.json": {
        1: {"Postdate": "2016-03-03T10:00:00+02:00", "Latitude": "0"},
        2: {"Postdate": None, "Latitude": "None"},
        3: {"Postdate": "never"},
        4: {"Pid": "104.0"},
        5: {"Uid": ""},
    },
    "train_tags.json": {
        1: {"Title": "", "Alltags": "  sea  sun "},
        2: {"Title": "None", "Alltags": "None"},
        6: {"Title": "zwei é ☀\n", "Alltags": "sea\tsun", "Mediatype": "İmage"},
        7: {"Title": None, "Tile": "tile", "Mediatype": "VIDEO"},
        8: {"Uid": "9@N"},
        9: {"Alltags": None, "Mediatype": "None"},
    },
    "train_userdata.json": {
        10: {"photo_count": "75.2k", "ispro": 1},
        11: {"photo_count": "many"},
        12: {"photo_count": None, "timezone_id": "CET"},
    },
}
PATHS = {13: "", 14: "train/x/y.jpg", 15: "2@N/115.png", 16: "0@N/116.jpg"}
LABELS = {17: "", 18: "1e1", 19: "high"}
NEED_SQL = {1, 3, 5, 6, 8, 10, 11, 14, 15, 16, 18, 19}
N_PLAIN = {1: 23 - len(NEED_SQL), 1000: 2}
"""Posts written without Spark, by the bytes read at once: a row, and three, of which one takes the others along."""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """23 posts, of which most are odd in their own way."""
    folder = tmp_path / "export"
    folder.mkdir()
    plain = {
        "train_temporalspatial.json": {"Postdate": "1457000000"},
        "train_tags.json": {"Title": "a title", "Alltags": "sea sun", "Mediatype": "Photo"},
        "train_userdata.json": {"photo_count": "12"},
        "train_additional.json": {"Pathalias": "name", "Ispublic": "1"},
    }
    for name, fields in plain.items():
        rows = [{"Uid": f"{i % 4}@N", "Pid": str(100 + i), **fields, **ODD.get(name, {}).get(i, {})} for i in range(23)]
        (folder / name).write_text(json.dumps(rows))
    paths = [PATHS.get(i, f"train/{i % 4}@N/{100 + i}.jpg") for i in range(23)]
    (folder / "train_img.txt").write_text("\n".join(paths))
    (folder / "train_label.txt").write_text("\n".join(LABELS.get(i, f"{i}.5") for i in range(23)))
    return folder


@pytest.mark.parametrize("collected_at", [None, "2025-01-02"])
@pytest.mark.parametrize("chunk_bytes", [1, 1000])
def test_the_same_posts_as_by_sql(
    spark: SparkSession,
    export: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunk_bytes: int,
    collected_at: str | None,
) -> None:
    monkeypatch.setattr(side_by_side, "CHUNK_BYTES", chunk_bytes)
    parsed = parse_export(spark, "smpd", str(export), Options(collected_at=collected_at))
    found = _ingest(spark, parsed, tmp_path / "found")
    assert found == _ingest(spark, Parsed(parsed.read), tmp_path / "by_sql")
    files = (tmp_path / "found" / "posts").glob("*.parquet")
    written = [file for file in files if b"org.apache.spark.version" not in (pq.read_metadata(file).metadata or {})]
    assert sum(pq.read_metadata(file).num_rows for file in written) == N_PLAIN[chunk_bytes]
    assert not list((tmp_path / "found" / "posts").glob(f"{HIDDEN}*"))


def test_repeated_ids_are_refused_in_plain_rows_too(spark: SparkSession, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    rows = [{"Uid": "1@N", "Pid": str(i % 3), "Postdate": "1457000000"} for i in range(5)]
    (export / "train_temporalspatial.json").write_text(json.dumps(rows))
    counts, posts, rejects = _ingest(spark, parse_export(spark, "smpd", str(export), Options()), tmp_path)
    assert (counts.n_in, counts.n_out, counts.n_rejected) == (5, 3, {"duplicate_post_id": 2})
    assert len(posts) == 3
    assert len(rejects) == 2


def _ingest(spark: SparkSession, parsed: Parsed, root: Path) -> tuple[Counts, list[str], list[str]]:
    """The counts, and both tables as text, in order."""
    paths = [str(root / "posts"), str(root / "rejects")]
    counts = write_posts(spark, parsed, "smpd", True, *paths)
    tables = (read_table(spark, table, path).collect() for table, path in zip((POSTS, REJECTS), paths, strict=True))
    posts, rejects = (sorted(map(str, rows)) for rows in tables)
    return counts, posts, rejects
