"""The one door to features: nobody can tell from what it gives whether it was stored or computed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from popspark.features.door import features_for
from popspark.features.extraction import Extraction
from popspark.features.missing_features import extract_missing
from popspark.features.plan import plan_bundle
from popspark.features.projection import sum_projections
from popspark.models.bundle import load_bundle
from popspark.models.shipping import ship_bundle
from popspark.storage.tables import IMAGE_BLOBS, IMAGE_FEATURES
from popspark.storage.warehouse import read_table
from popspark.storage.writing import write_table
from tests.made_bundles import write_ranker
from tests.spark.features.test_extraction import image_row, jpeg


def scores_and_status(features: DataFrame) -> tuple[dict[str, float], dict[str, tuple]]:
    """By image: the sum of its projections, where it has one; status and error."""
    rows = features.collect()
    scores = {row["image_id"]: sum_projections([row["visual"]], 1)[0, 0] for row in rows if row["visual"]}
    return scores, {row["image_id"]: (row["status"], row["error"]) for row in rows}


def test_stored_and_computed_features_come_as_the_same_rows(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(write_ranker(tmp_path / "ranker"))
    ship_bundle(spark, bundle)
    rows = [*(image_row(f"i{n}", jpeg(n)) for n in range(4)), image_row("broken", jpeg(9)[:200])]
    images = spark.createDataFrame(rows, IMAGE_BLOBS.schema)
    extraction = Extraction(plan_bundle(bundle, "cpu", 2, {}), "cpu", 2)
    wanted = images.where("image_id <> 'i3'").select("image_id", "sha256")
    scores, status = scores_and_status(features_for(wanted, bundle, images, None, extraction))
    assert len(set(scores.values())) == 3
    assert {name: kind for name, (kind, _) in status.items()} == {**dict.fromkeys(scores, "ok"), "broken": "corrupt"}
    with monkeypatch.context() as databricks:  # whose shuffle.partitions may be `auto`, which no other Spark takes
        databricks.setattr("popspark.features.projection.shuffle_partitions", lambda _: None)
        assert scores_and_status(features_for(wanted, bundle, images, None, extraction)) == (scores, status)
    everything = extract_missing(images, None, extraction).localCheckpoint()
    for n, condition in enumerate(("true", "image_id IN ('i0', 'broken')", "family = 'color' OR image_id = 'i1'")):
        path = str(tmp_path / f"features {n}")
        write_table(everything.where(condition), IMAGE_FEATURES, path)
        stored = read_table(spark, IMAGE_FEATURES, path)
        found = scores_and_status(features_for(wanted, bundle, images, stored, extraction))
        assert found == (pytest.approx(scores, rel=1e-5), status)
