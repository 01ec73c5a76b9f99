"""Posts with known effects over the sample's photographs, and how well each kind of model can rank them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.evaluation.metrics import spearman_rho
from popspark.features.registry import get_family
from popspark.images.decode import decode
from popspark.posts.examples import join_examples
from popspark.posts.labels import popularity_labels
from popspark.posts.social import social_features
from popspark.posts.splits import assign_splits
from popspark.simulation.image_effects import measure_images
from popspark.simulation.settings import Simulation
from popspark.simulation.simulation import simulate_posts
from popspark.storage.arrow import open_dataset
from popspark.storage.tables import EXAMPLES, IMAGE_BLOBS, IMAGE_FEATURES
from popspark.storage.writing import write_table
from popspark.training.settings import CnnFitSettings

PHOTOS = sorted((Path(__file__).resolve().parents[1] / "sample" / "photos").iterdir())
FAMILIES = ("color", "aesthetic")
EFFECTS = {"user": 0.6, "hashtags": 0.0, "time": 0.15, "image": 0.6, "noise": 0.4}
FIT = CnnFitSettings(n_epochs=20, batch_size=64, lr_step_epochs=8, device="cpu")
NOISE = {"user": 0.0, "hashtags": 0.0, "time": 0.0, "image": 0.0, "noise": 1.0}


@dataclass(frozen=True)
class SampleImages:
    """images: image_id with what the simulator measures. features: rows of image_features."""

    images: DataFrame
    features: DataFrame


def read_images(spark: SparkSession) -> SampleImages:
    rows = [(p.name, None, None, None, None, "JPEG", "ok", None, p.read_bytes()) for p in PHOTOS]
    pixels = [decode(photo.read_bytes()) for photo in PHOTOS]
    features: list[tuple[Any, ...]] = []
    for name in FAMILIES:
        values = get_family(name).load()(pixels)
        features += [
            (photo.name, None, name, "1", [float(v) for v in row], "ok", None)
            for photo, row in zip(PHOTOS, values, strict=True)
        ]
    images = measure_images(spark.createDataFrame(rows, IMAGE_BLOBS.schema)).persist()
    return SampleImages(images, spark.createDataFrame(features, IMAGE_FEATURES.schema).persist())


def write_examples(
    spark: SparkSession, sample: SampleImages, weights: dict[str, float], n_posts: int, folder: Path
) -> dict[str, float]:
    """Writes examples of posts with these effects; the rho that each kind of model can reach on the test split."""
    simulation = Simulation.model_validate(
        {
            "seed": 5,
            "n_posts": n_posts,
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
    posts = simulate_posts(spark, simulation, sample.images).persist()
    rows = join_examples(
        posts,
        sample.features,
        social_features(spark, posts, "point_in_time"),
        popularity_labels(posts, "flickr_views"),
        assign_splits(posts, "random", 0, images=None, feature_mode="point_in_time"),
        dict.fromkeys(FAMILIES, "1"),
    )
    write_table(rows.where("status = 'ok'"), EXAMPLES, str(folder))
    truth = {
        row.post_id: {name: float(value) for name, value in row.extra.items()}
        for row in posts.select("post_id", "extra").where(F.col("extra").isNotNull()).collect()
    }
    posts.unpersist()
    test = open_dataset(str(folder)).to_table(["post_id", "label"], ds.field("split") == "test").to_pydict()
    effects = [truth[post_id] for post_id in test["post_id"]]
    perfect = {
        "vscnn": [row["expected_popularity"] for row in effects],
        "scnn": [weights["user"] * row["user_effect"] + weights["time"] * row["time_effect"] for row in effects],
        "vcnn": [row["image_effect"] for row in effects],
    }
    labels = np.array(test["label"])
    return {name: float(spearman_rho(labels, np.array(values))) for name, values in perfect.items()}
