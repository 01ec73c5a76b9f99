"""Proof that the networks learn what is there, and nothing where nothing is.

Posts with known effects over the sample's real photographs: the truth beside each post says how well a perfect model
would rank, and how well one that sees the user and the time only, or the picture only. The same photographs stand in
training and test: whether an effect carries over to new photographs is not asked here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from pyspark.sql import functions as f

from popspark.features import get_family
from popspark.images import decode
from popspark.metrics import spearman_rho
from popspark.tables import EXAMPLES, IMAGE_FEATURES, IMAGES, write_table
from popspark.training.cnn import CnnSettings, train_cnn
from popspark.training.fitting import FitSettings
from popspark.transforms.examples import join_examples
from popspark.transforms.labels import popularity_labels
from popspark.transforms.pictures import measure_pictures
from popspark.transforms.simulation import Simulation, simulate_posts
from popspark.transforms.social import social_features
from popspark.transforms.splits import assign_splits

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PHOTOS = sorted((Path(__file__).resolve().parents[2] / "sample" / "photos").iterdir())
FAMILIES = ("color", "aesthetic")
EFFECTS = {"user": 0.6, "hashtags": 0.0, "time": 0.15, "picture": 0.6, "noise": 0.4}
NOISE = {"user": 0.0, "hashtags": 0.0, "time": 0.0, "picture": 0.0, "noise": 1.0}
FIT = FitSettings(n_epochs=20, batch_size=64, lr_step_epochs=8, device="cpu")


@pytest.fixture(scope="module")
def photographs(spark):
    """images, and their features as the feature table has them."""
    rows = [(p.name, p.read_bytes(), None, None, None, None, "JPEG", "ok", None) for p in PHOTOS]
    images = spark.createDataFrame(rows, IMAGES.schema)
    pixels = [decode(photo.read_bytes()) for photo in PHOTOS]
    features = []
    for name in FAMILIES:
        values = get_family(name).load()(pixels)
        features += [
            (photo.name, None, name, "1", [float(v) for v in row], "ok", None)
            for photo, row in zip(PHOTOS, values, strict=True)
        ]
    return measure_pictures(images).persist(), spark.createDataFrame(features, IMAGE_FEATURES.schema).persist()


def made_examples(spark, photographs, weights: dict[str, float], folder: Path) -> dict[str, dict[str, float]]:
    """Writes examples of 3,000 posts; the truth by post_id."""
    pictures, features = photographs
    simulation = Simulation.model_validate(
        {
            "seed": 5,
            "n_posts": 3000,
            "n_users": 12,
            "user_skew": 0.0,
            "n_hashtags": 20,
            "hashtag_skew": 0.0,
            "starts_on": "2022-01-01",
            "n_days": 1096,
            "share_without_image": 0,
            "n_with_missing_image": 0,
            "weights": weights,
        }
    )
    posts = simulate_posts(spark, simulation, pictures).persist()
    rows = join_examples(
        posts,
        features,
        social_features(spark, posts, "point_in_time"),
        popularity_labels(posts, "flickr_views"),
        assign_splits(posts, "random", 0, images=None, feature_mode="point_in_time"),
        dict.fromkeys(FAMILIES, "1"),
    )
    write_table(rows.where("status = 'ok'"), EXAMPLES, str(folder))
    truth = {
        row.post_id: {name: float(value) for name, value in row.extra.items()}
        for row in posts.select("post_id", "extra").where(f.col("extra").isNotNull()).collect()
    }
    posts.unpersist()
    return truth


@pytest.fixture(scope="module")
def effects(spark, photographs, tmp_path_factory):
    """The examples, and the rank correlation that each kind of model can reach on the test split."""
    folder = tmp_path_factory.mktemp("effects") / "examples"
    truth = made_examples(spark, photographs, EFFECTS, folder)
    test = ds.dataset(folder / "split=test").to_table(columns=["post_id", "label"]).to_pydict()
    rows = [truth[post_id] for post_id in test["post_id"]]
    labels = np.array(test["label"])
    best = {
        "vscnn": [row["expected_popularity"] for row in rows],
        "scnn": [EFFECTS["user"] * row["user_effect"] + EFFECTS["time"] * row["time_effect"] for row in rows],
        "vcnn": [row["picture_effect"] for row in rows],
    }
    return folder, {name: spearman_rho(labels, np.array(values)) for name, values in best.items()}


@pytest.mark.parametrize("architecture", ["vscnn", "scnn", "vcnn"])
def test_a_model_reaches_what_it_could(effects, architecture, tmp_path):
    folder, limits = effects
    fitted = train_cnn(folder, tmp_path, CnnSettings(architecture=architecture, fit=FIT))
    found = fitted.metrics["test"]["spearman_rho"].value
    print(f"{architecture}: rho {found:.3f} of {limits[architecture]:.3f} possible")
    assert limits[architecture] > 0.4
    assert found >= 0.95 * limits[architecture]


def test_noise_teaches_nothing(spark, photographs, tmp_path):
    made_examples(spark, photographs, NOISE, tmp_path / "examples")
    fitted = train_cnn(tmp_path / "examples", tmp_path / "work", CnnSettings(fit=FIT))
    found = fitted.metrics["test"]["spearman_rho"]
    assert found.low < 0 < found.high
