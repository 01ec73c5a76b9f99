"""Computes the visual features of images, each image decoded once, and only what is not there yet.

    python jobs/extract_features.py
    python jobs/extract_features.py features.families='[color, vgg19]' features.weights.vgg19=/weights/vgg19.pth

Reads: images, and image_features as far as they are there.
Writes: image_features, by appending rows for new images, changed images (by sha256), and new families or versions.
"""

from __future__ import annotations

from popspark.command import run
from popspark.config import JobConfig
from popspark.extractor import FeatureSettings, plan_features
from popspark.images import Limits
from popspark.session import get_session, ship_file
from popspark.tables import IMAGE_FEATURES, IMAGES, find_table, read_table, write_table
from popspark.transforms.extraction import Extraction, extract_missing


class Config(JobConfig):
    """images, image_features: tables. features: families, weights, device. limits: for decoding."""

    images: str
    image_features: str
    features: FeatureSettings
    limits: Limits = Limits()


def main(config: Config) -> None:
    planned = plan_features(config.features)
    spark = get_session("extract_features", config.env.spark)
    for family in planned:
        if family.weights_path:
            ship_file(spark, family.weights_path)
    images = read_table(spark, IMAGES, config.images)
    stored = find_table(spark, IMAGE_FEATURES, config.image_features)
    n_before = stored.count() if stored is not None else 0
    extraction = Extraction(planned, config.features.device, config.features.batch_size, config.limits)
    write_table(extract_missing(images, stored, extraction), IMAGE_FEATURES, config.image_features, "append")

    rows = read_table(spark, IMAGE_FEATURES, config.image_features)
    counts = {
        (r["family"], r["version"], r["status"]): r["count"]
        for r in rows.groupBy("family", "version", "status").count().collect()
    }
    print(f"Added {sum(counts.values()) - n_before:,} rows to {config.image_features}, which now holds")
    for (family, version, status), n in sorted(counts.items()):
        print(f"  {family:<20}{version:<34}{status:<16}{n:>10,}")


if __name__ == "__main__":
    run(__file__, __doc__, Config, main)
