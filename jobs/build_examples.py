"""Joins features, social values, labels and splits into examples, the training table.

    python jobs/build_examples.py
    python jobs/build_examples.py split.strategy=chronological social_mode=point_in_time label.rule=given

Reads: posts, images, image_features.
Writes: examples, and beside it <examples>.json: what a model trained on them must know of their making.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from popspark.command import run
from popspark.config import JobConfig, Section
from popspark.extractor import FeatureSettings, plan_features
from popspark.session import get_session
from popspark.tables import (
    EXAMPLES,
    IMAGE_FEATURES,
    IMAGES,
    POSTS,
    SOCIAL_NAMES,
    count_by_status,
    read_table,
    write_table,
)
from popspark.transforms.examples import join_examples
from popspark.transforms.extraction import current_features
from popspark.transforms.labels import popularity_labels
from popspark.transforms.social import social_features
from popspark.transforms.splits import assign_splits


class LabelSettings(Section):
    """rule: see `popspark.transforms.labels`. options: of that rule."""

    rule: str
    options: dict[str, Any] = {}


class SplitSettings(Section):
    """See `popspark.transforms.splits`."""

    strategy: str
    seed: int
    group_by: str | None = None


class Config(JobConfig):
    """Tables, and how social values, labels and splits are made from them."""

    posts: str
    images: str
    image_features: str
    examples: str
    features: FeatureSettings
    social_mode: str
    label: LabelSettings
    split: SplitSettings


def main(config: Config) -> None:
    planned = plan_features(config.features)
    spark = get_session("build_examples", config.env.spark)
    posts = read_table(spark, POSTS, config.posts)
    images = read_table(spark, IMAGES, config.images)
    features = current_features(images, read_table(spark, IMAGE_FEATURES, config.image_features), planned)
    social = social_features(spark, posts, config.social_mode)
    labels = popularity_labels(posts, config.label.rule, **config.label.options)
    splits = assign_splits(
        posts,
        config.split.strategy,
        config.split.seed,
        images=images,
        feature_mode=config.social_mode,
        group_by=config.split.group_by,
    )
    rows = join_examples(posts, features, social, labels, splits, {p.name: p.version for p in planned}).persist()
    write_table(rows.where("status = 'ok'"), EXAMPLES, config.examples)

    counts = count_by_status(rows)
    making = {
        "features": [
            {"name": p.name, "version": p.version, "dim": p.family.dim, "weights": p.weights} for p in planned
        ],
        "feature_settings": config.features.model_dump(mode="json"),
        "social": {"mode": config.social_mode, "names": SOCIAL_NAMES},
        "label": config.label.model_dump(),
        "split": config.split.model_dump(),
        "is_simulated": posts.where("is_simulated").limit(1).count() > 0,
        "rows": counts,
    }
    Path(f"{config.examples.rstrip('/')}.json").write_text(json.dumps(making, indent=1) + "\n")
    print(f"Wrote {counts.get('ok', 0):,} examples of {sum(counts.values()):,} posts to {config.examples}")
    for status, n in counts.items():
        print(f"  {status:<24}{n:>10,}")


if __name__ == "__main__":
    run(__file__, __doc__, Config, main)
