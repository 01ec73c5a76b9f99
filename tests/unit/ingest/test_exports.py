"""Which files an origin reads, told by their paths."""

from __future__ import annotations

import pytest

from popspark.ingest.exports import ORIGINS, is_read

ALL, JSON = set(ORIGINS), {"x_api", "flickr", "instagram"}


@pytest.mark.parametrize(
    ("name", "origins"),
    [
        ("posts.zip", ALL - {"smpd", "parquet"}),
        ("posts.tar", ALL - {"smpd", "parquet"}),
        ("posts.Tar.GZ", ALL - {"smpd", "parquet"}),
        ("posts.GZ", JSON | {"csv"}),
        ("posts.Jsonl", JSON),
        ("posts.TXT", JSON | {"csv"}),
        ("posts.tsv", {"csv"}),
        ("posts.Parquet", {"parquet"}),
        ("posts.parquet.gz", JSON | {"csv"}),  # unpacked and then found to be no table
        ("Train_Label.TXT.GZ", JSON | {"csv", "smpd", "smp_t1"}),
        ("TRAIN_category.json", JSON | {"smpd"}),
        ("posts.jpg", set()),
    ],
)
def test_a_file_is_read_by_its_name_in_any_case(name: str, origins: set[str]) -> None:
    assert {origin for origin in ORIGINS if is_read(origin, f"file:/train_data.txt/{name}")} == origins
