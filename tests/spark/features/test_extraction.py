"""The fused UDF: one row per image, each decoded once, only what is missing, on the device of the task."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.features import missing_features
from popspark.features.extraction import Extraction, current_features, extract_features, to_feature_rows
from popspark.features.family import Family
from popspark.features.missing_features import extract_missing, extract_rounds, extract_wanted
from popspark.features.plan import PlannedFamily, plan_features
from popspark.features.registry import get_family
from popspark.features.settings import FeatureSettings
from popspark.features.stored_files import collect_ids, find_present
from popspark.images import decode as codecs
from popspark.images.index import index_images, list_images
from popspark.images.limits import Limits
from popspark.images.table import read_images
from popspark.storage.tables import IMAGE_BLOBS, IMAGE_FEATURES
from popspark.storage.warehouse import read_table
from popspark.storage.writing import write_table

CLASSICAL = FeatureSettings(families=("color", "lbp"))


def jpeg(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = BytesIO()
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def image_row(image_id: str, content: bytes | None, status: str = "ok", error: str | None = None) -> tuple:
    sha256 = codecs.sha256(content) if content is not None else None
    return (image_id, sha256, len(content or b""), None, None, None, status, error, content)


@pytest.fixture
def images(spark: SparkSession) -> DataFrame:
    rows = [image_row(f"i{n}", jpeg(n)) for n in range(5)]
    rows += [image_row("broken", jpeg(9)[:200]), image_row("gone", None, "missing", "there is no such file")]
    return spark.createDataFrame(rows, IMAGE_BLOBS.schema)


def by_id(features: DataFrame) -> dict[tuple[str, str], tuple]:
    return {(r["image_id"], r["family"]): (r["version"], r["values"], r["status"]) for r in features.collect()}


def test_udf_equals_the_direct_call_and_every_image_has_its_row(images: DataFrame) -> None:
    planned = plan_features(CLASSICAL)
    rows = extract_features(images, Extraction(planned, "cpu", 2)).collect()
    found = {row["image_id"]: row["features"] for row in rows}
    assert len(rows) == 7
    assert found["broken"]["status"] == "corrupt"
    assert (found["gone"]["status"], found["gone"]["error"]) == ("missing", "there is no such file")
    assert found["gone"]["color"] is None
    for n in range(5):
        image = codecs.decode(jpeg(n))
        for name in CLASSICAL.families:
            expected = get_family(name).load()([image])[0]
            np.testing.assert_array_equal(np.array(found[f"i{n}"][name], np.float32), expected)


def test_feature_rows_carry_version_status_and_reason(images: DataFrame) -> None:
    planned = plan_features(CLASSICAL)
    rows = to_feature_rows(extract_features(images, Extraction(planned, "cpu", 2)), planned)
    assert rows.columns == list(IMAGE_FEATURES.columns)
    found = {(r["image_id"], r["family"]): r for r in rows.collect()}
    assert len(found) == 14
    assert found["i0", "lbp"]["version"] == f"{codecs.VERSION}.{get_family('lbp').version}"
    assert (found["i0", "lbp"]["status"], found["i0", "lbp"]["error"]) == ("ok", None)
    assert found["broken", "lbp"]["status"] == "corrupt"
    assert found["broken", "lbp"]["values"] is None


def test_a_new_family_a_new_image_and_a_changed_one_fill_in_only_themselves(
    spark: SparkSession, images: DataFrame
) -> None:
    color = plan_features(FeatureSettings(families=("color",)))
    stored = extract_missing(images, None, Extraction(color, "cpu", 2)).localCheckpoint()
    both = Extraction(plan_features(CLASSICAL), "cpu", 2)
    changed = images.where("image_id <> 'i0'").unionByName(
        spark.createDataFrame([image_row("i0", jpeg(100)), image_row("new", jpeg(101))], IMAGE_BLOBS.schema)
    )
    added = extract_missing(changed, stored, both).localCheckpoint()
    keys = {(r["image_id"], r["family"]) for r in added.collect()}
    assert keys == {(i, "lbp") for i in ("i0", "i1", "i2", "i3", "i4", "broken", "gone", "new")} | {
        ("i0", "color"),
        ("new", "color"),
    }
    everything = stored.unionByName(added)
    assert extract_missing(changed, everything, both).count() == 0
    current = by_id(current_features(changed, everything, both.planned))
    assert current == by_id(extract_missing(changed, None, both))


@pytest.mark.parametrize("n", [2, 3, 16])
def test_each_of_few_images_has_a_task_of_its_own(spark: SparkSession, n: int) -> None:
    rows = [image_row(f"i{i}", jpeg(i, (8, 8))) for i in range(n)]
    images = spark.createDataFrame(rows, IMAGE_BLOBS.schema).coalesce(1)
    color = Extraction(plan_features(FeatureSettings(families=("color",))), "cpu", 2)
    found = extract_missing(images, None, color).withColumn("task", F.spark_partition_id()).collect()
    assert len({row["task"] for row in found}) == len(found) == n


@pytest.mark.parametrize("few", [100, 1])
def test_only_wanted_images_that_lack_features_are_extracted_whether_few_or_many(
    spark: SparkSession, images: DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few: int
) -> None:
    monkeypatch.setattr("popspark.features.stored_files.MAX_COLLECTED_IDS", few)
    images.repartition(3).write.parquet(str(tmp_path / "images"))
    images = read_images(spark, str(tmp_path / "images"))
    color = Extraction(plan_features(FeatureSettings(families=("color",))), "cpu", 2)
    first = extract_missing(images.where("image_id IN ('i0', 'i1')"), None, color)
    write_table(first, IMAGE_FEATURES, str(tmp_path / "features"))
    stored = read_table(spark, IMAGE_FEATURES, str(tmp_path / "features"))
    wanted = spark.createDataFrame([("i0",), ("i2",), ("i2",), (None,)], "image_id string")
    wanted = wanted.join(images.select("image_id", "sha256"), "image_id", "left")
    found = extract_wanted(wanted, images, stored, color, collect_ids(wanted)).collect()
    assert [row["image_id"] for row in found] == ["i2"]
    unstored = extract_wanted(wanted, images, None, color, None).collect()
    assert sorted(row["image_id"] for row in unstored) == ["i0", "i2"]


def test_images_are_read_where_they_are_and_what_changed_meanwhile_is_a_row(
    spark: SparkSession, tmp_path: Path
) -> None:
    """The index holds no bytes; whoever computes reads them."""
    root = tmp_path / "some images"
    root.mkdir()
    for n in range(4):
        (root / f"{n} ü.jpg").write_bytes(jpeg(n))
    index_images(*list_images(spark, str(root)), Limits()).write.parquet(str(tmp_path / "images"))
    images = read_images(spark, str(tmp_path / "images"))
    assert "content" not in images.columns
    (root / "1 ü.jpg").write_bytes(jpeg(101))
    (root / "2 ü.jpg").unlink()
    color = Extraction(plan_features(FeatureSettings(families=("color",))), "cpu", 2)
    found = {row["image_id"]: row for row in extract_missing(images, None, color).collect()}
    assert {name: (row["status"], row["error"]) for name, row in found.items()} == {
        "0 ü.jpg": ("ok", None),
        "1 ü.jpg": ("changed", "its bytes are not those that were indexed: index the images again"),
        "2 ü.jpg": ("missing", "there is no such file"),
        "3 ü.jpg": ("ok", None),
    }
    expected = get_family("color").load()([codecs.decode(jpeg(3))])[0]
    np.testing.assert_array_equal(np.array(found["3 ü.jpg"]["values"], np.float32), expected)


LAYOUTS = ("side by side", "apart", "another order", "flat", "in memory")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("few", [100, 1])
def test_what_is_stored_is_found_in_every_layout(
    spark: SparkSession, images: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, few: int
) -> None:
    monkeypatch.setattr("popspark.features.stored_files.MAX_COLLECTED_IDS", few)
    monkeypatch.setattr("popspark.features.stored_files.SHARE_BYTES", 1500)
    planned, path = plan_features(CLASSICAL), str(tmp_path / "features")
    rows = extract_missing(images, None, Extraction(planned, "cpu", 2))
    rows = rows.where("NOT (family = 'lbp' AND image_id = 'i3')").localCheckpoint()
    old = rows.where("image_id = 'i3'").withColumns({"family": F.lit("lbp"), "version": F.lit("old")})
    if layout == "side by side":
        write_table(rows.unionByName(old).coalesce(1), IMAGE_FEATURES, path)
    elif layout == "apart":
        for family in CLASSICAL.families:
            write_table(rows.unionByName(old).where(F.col("family") == family), IMAGE_FEATURES, path, "append")
    elif layout == "another order":
        ordered = rows.unionByName(old).coalesce(1).sortWithinPartitions("family", F.desc("version"), F.rand(3))
        write_table(ordered, IMAGE_FEATURES, path)
    elif layout == "flat":
        rows.unionByName(old).write.parquet(path)
    stored = rows.unionByName(old) if layout == "in memory" else read_table(spark, IMAGE_FEATURES, path)
    wanted = images.select("image_id").where("image_id <> 'i1'")
    ids = collect_ids(wanted)
    assert (ids is None) == (few == 1)
    found = find_present(stored, {p.name: p.version for p in planned}, ids).collect()
    expected = dict.fromkeys(("i0", "i1", "i2", "i4", "broken", "gone"), 3) | {"i3": 1}
    if ids is not None:
        del expected["i1"]
    assert {row["image_id"]: row["present"] for row in found if row["present"]} == expected
    assert len({(row["image_id"], row["key"]) for row in found}) == len(found)
    assert [row["key"] for row in found if row["image_id"] == "gone"] == [""]


def test_a_run_killed_between_rounds_is_completed_without_doubles(
    spark: SparkSession, images: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extraction, path = Extraction(plan_features(CLASSICAL), "cpu", 2), str(tmp_path / "image_features")
    expected = by_id(extract_missing(images, None, extraction))
    monkeypatch.setattr(missing_features, "IMAGES_PER_TASK", 1)
    monkeypatch.setattr(missing_features, "ROUND_TASKS", 1)
    rounds = extract_rounds(images, None, extraction)
    write_table(next(rows for rows in rounds if not rows.isEmpty()), IMAGE_FEATURES, path, "append")
    stored = read_table(spark, IMAGE_FEATURES, path)
    assert 0 < stored.count() < 14
    for rows in extract_rounds(images, stored, extraction):
        write_table(rows, IMAGE_FEATURES, path, "append")
    found = read_table(spark, IMAGE_FEATURES, path)
    assert found.count() == 14
    assert by_id(found) == expected
    assert list(extract_rounds(images, found, extraction)) == []


def test_one_bad_family_costs_its_own_values_only(images: DataFrame) -> None:
    def load() -> object:
        def calculate(batch: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
            if batch[0][0, 0, 0] % 2:
                raise ValueError("odd")
            return np.full((1, 2), np.nan, np.float32)

        return calculate

    odd = PlannedFamily(Family("odd", "1", 2, load), "1")  # type: ignore[arg-type]
    extraction = Extraction((*plan_features(CLASSICAL), odd), "cpu", 2)
    rows = extract_features(images.where("image_id LIKE 'i%'"), extraction).collect()
    assert {row["features"]["status"] for row in rows} == {"failed"}
    assert {row["features"]["error"] for row in rows} <= {"odd: ValueError: odd", "odd: 2 values are not finite"}
    assert all(row["features"]["color"] is not None and row["features"]["odd"] is None for row in rows)


def test_each_image_is_decoded_once_though_many_fields_are_read(spark: SparkSession, images: DataFrame) -> None:
    counted = spark.sparkContext.accumulator(0)

    def decode(content: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
        counted.add(1)
        return codecs.decode(content, limits)

    planned = plan_features(CLASSICAL)
    good = images.where("image_id LIKE 'i%'")
    rows = to_feature_rows(extract_features(good, Extraction(planned, "cpu", 2, decode=decode)), planned)
    assert rows.where("status = 'ok' AND size(values) > 0").count() == 10
    assert counted.value == 5


def test_empty_table(images: DataFrame) -> None:
    extraction = Extraction(plan_features(CLASSICAL), "cpu", 2)
    assert extract_missing(images.limit(0), None, extraction).count() == 0
