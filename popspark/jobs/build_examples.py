"""Joins features, social values, labels and splits into examples, the training table.

    python jobs/build_examples.py
    python jobs/build_examples.py split.strategy=chronological social_mode=point_in_time label.rule=given

Reads: posts, images, image_features.
Writes: examples, and beside it <examples>.json: what a model trained on them must know of how they were made.
"""

from __future__ import annotations

from popspark.features.extractor import FeatureSettings
from popspark.posts.examples import LabelSettings, SplitSettings, write_examples
from popspark.runtime.config import JobConfig
from popspark.runtime.session import get_session
from popspark.storage.tables import IMAGE_FEATURES, IMAGES, POSTS
from popspark.storage.warehouse import read_table


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
    spark = get_session("build_examples", config.env.spark)
    made = write_examples(
        read_table(spark, POSTS, config.posts),
        read_table(spark, IMAGES, config.images),
        read_table(spark, IMAGE_FEATURES, config.image_features),
        config.examples,
        features=config.features,
        social_mode=config.social_mode,
        label=config.label,
        split=config.split,
    )
    rows = made.rows
    print(f"Wrote {rows.get('ok', 0):,} examples of {sum(rows.values()):,} posts to {config.examples}")
    _tell("posts", rows)
    _tell(f"labels by the rule {config.label.rule}", made.labels)
    _tell("posts that lack an input of the social values, which is then 0", made.unknown_inputs)


def _tell(title: str, counts: dict[str, int]) -> None:
    print(title)
    for name, n in counts.items():
        print(f"  {name:<24}{n:>10,}")
