"""The photographs that the repository ships: number, size, licences."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

SAMPLE = Path(__file__).resolve().parents[3] / "sample"
PHOTOS = sorted((SAMPLE / "photos").iterdir())


def test_at_least_forty_photographs_in_four_megabytes():
    assert len(PHOTOS) >= 40
    assert sum(photo.stat().st_size for photo in PHOTOS) < 4_000_000


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_a_photograph_is_a_small_jpeg_without_metadata(photo):
    with Image.open(photo) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= 640
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_every_photograph_has_its_row_of_attribution():
    with (SAMPLE / "sources.csv").open(newline="") as rows:
        sources = list(csv.DictReader(rows))
    assert [source["file"] for source in sources] == [photo.name for photo in PHOTOS]
    attribution = (SAMPLE / "ATTRIBUTION.md").read_text()
    for source in sources:
        assert f"| {source['file']} | {source['title']} | {source['author']} | [{source['licence']}](" in attribution
