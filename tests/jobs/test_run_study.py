"""The study from tables to its page, in small: few epochs, trees and features."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from popspark.features.extraction import Extraction
from popspark.features.missing_features import extract_missing
from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.images.index import index_images, list_images
from popspark.images.limits import Limits
from popspark.images.table import read_images
from popspark.jobs.run_study import Config, main
from popspark.runtime.config import load_config
from popspark.storage.tables import IMAGE_FEATURES, IMAGES
from popspark.storage.writing import write_table
from tests.jobs.conftest import ROOT


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, interpreted: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the sample's posts, its images of letters up to d, and their features of one family."""
    folder = tmp_path_factory.mktemp("study")
    paths, root = list_images(spark, str(ROOT / "sample" / "photos" / "[a-d]*.jpg"))
    write_table(index_images(paths, root, Limits()), IMAGES, str(folder / "images"))
    planned = plan_features(FeatureSettings(families=("color",)))
    features = extract_missing(read_images(spark, str(folder / "images")), None, Extraction(planned, "cpu", 16))
    write_table(features, IMAGE_FEATURES, str(folder / "image_features"))
    posts = pq.read_table(ROOT / "sample" / "posts").slice(0, 180)
    pq.write_table(posts, folder / "posts.parquet")
    return folder


def test_tables_become_the_paper_s_tables_figures_and_a_page(
    spark: SparkSession, warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"env.warehouse={warehouse}", f"posts={warehouse}/posts.parquet", "features.families=[color]"]
    settings += ["study.fit.n_epochs=1", "study.fit.batch_size=128", "study.n_resamples=20", "study.n_workers=1"]
    settings += [
        "study.baselines.gbdt_trees=3",
        "study.baselines.svr_max_rows=50",
        "study.baselines.nystroem_features=5",
    ]
    main(load_config(Config, settings))
    report = warehouse / "study_report"
    page = (report / "study.html").read_text("utf-8")
    assert "data:image/png;base64," in page
    names = {path.stem for path in report.glob("*.png")}
    assert {"figure_7_labels", "figure_6b_scatter", "figure_11_bars", "curves"} <= names
    assert any(name.startswith("figure_8") for name in names), "the images of the best and worst predictions"
    assert len(list(report.glob("*.csv"))) >= 6
    assert "study.html" in capsys.readouterr().out
