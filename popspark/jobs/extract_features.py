"""Turns each image into lists of numbers (features) that models learn from; only what is not there yet is computed.

    popspark extract-features
    popspark extract-features features.families='[color, vgg19]' features.weights.vgg19=/weights/vgg19.pth

Reads: images, and image_features as far as they are there.
Writes: image_features, by appending rows for new images, changed images (by sha256), and new families or versions; and
a row of runs.

Images are taken in rounds, and a round's rows count at once: a run that is killed loses the round that it was in, and
the next run adds what is not there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from popspark.features.settings import FeatureSettings
from popspark.images.limits import Limits
from popspark.runtime.config import ScheduledConfig

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from popspark.storage.runs import Run


class Config(ScheduledConfig):
    """Tables, and what is computed."""

    images: str = "${env.warehouse}/images"
    """The images table."""
    image_features: str = "${env.warehouse}/image_features"
    """The table that gets what it lacks."""
    features: FeatureSettings = FeatureSettings()
    """What is computed, and how."""
    limits: Limits = Limits()
    """Limits of the files that are decoded."""


def main(config: Config) -> None:
    from popspark.storage.runs import Run

    with Run("extract_features", config) as record:
        _extract(config, record)


def _extract(config: Config, record: Run) -> None:
    from popspark.features.extraction import Extraction
    from popspark.features.missing_features import extract_rounds
    from popspark.features.plan import plan_features
    from popspark.images.table import read_images
    from popspark.runtime.session import get_session, ship_file
    from popspark.storage.tables import IMAGE_FEATURES
    from popspark.storage.warehouse import read_table
    from popspark.storage.writing import begin, claim

    planned = plan_features(config.features)
    record.read_from({"images": config.images})
    record.versions |= {f"feature {family.name}": family.version for family in planned}
    spark = get_session("extract_features", config.env.spark)
    record.stages.done("session")
    for family in planned:
        if family.weights_path:
            ship_file(spark, family.weights_path)
    images = read_images(spark, config.images)
    extraction = Extraction(planned, config.features.device, config.features.batch_size, config.limits)
    with claim([config.image_features], config.run_id, config.lock_wait_seconds) as killed:
        record.mark_killed(killed)
        with begin(spark, IMAGE_FEATURES, config.image_features, config.run_id) as writing:
            stored = writing.read()
            before = _count(stored) if stored is not None else Counter()
            for rows in extract_rounds(images, stored, extraction):
                writing.stage(rows)
                writing.commit([])
            if writing.read() is None:  # a table without rows is one, too
                writing.commit([])
        after = _count(read_table(spark, IMAGE_FEATURES, config.image_features))
    record.stages.done("extraction")

    for (_, _, status), n in (after - before).items():
        record.counts[status] = record.counts.get(status, 0) + n
    print(f"Added {sum(record.counts.values()):,} rows to {config.image_features}, which now holds")
    for (name, version, status), n in sorted(after.items()):
        print(f"  {name:<20}{version:<34}{status:<16}{n:>10,}")


def _count(rows: DataFrame) -> Counter[tuple[str, str, str]]:
    """Rows by family, version and status."""
    groups = rows.groupBy("family", "version", "status").count().collect()
    return Counter({(row["family"], row["version"], row["status"]): row["count"] for row in groups})
