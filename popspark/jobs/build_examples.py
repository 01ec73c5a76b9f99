"""Makes the table that a VSCNN model is trained on: a row a post with its picture's features, 34 values of user,
text and time, its popularity (label), and train, valid or test.

    popspark build-examples
    popspark build-examples split.strategy=chronological social_mode=point_in_time label.rule=given

Reads: posts, images, image_features.
Writes: examples, and beside it <examples>.json: what a model trained on them must know of how they were made.
"""

from __future__ import annotations

from popspark.features.settings import FeatureSettings
from popspark.posts.settings import LabelSettings, SocialMode, SplitSettings
from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """Tables, and how social values, labels and splits are made from them."""

    posts: str = "${env.warehouse}/posts"
    """The posts table."""
    images: str = "${env.warehouse}/images"
    """The images table."""
    image_features: str = "${env.warehouse}/image_features"
    """The features table."""
    examples: str = "${env.warehouse}/examples"
    """The table to write."""
    features: FeatureSettings = FeatureSettings()
    """The same as for extract-features."""
    social_mode: SocialMode = "point_in_time"
    """paper: averages over all of a user's posts, as published; they know the labels of the test split."""
    label: LabelSettings = LabelSettings()
    """How popular a post was."""
    split: SplitSettings = SplitSettings()
    """What is learned from, and what is tested on."""


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.examples], config.run_id):
        _build(config)


def _build(config: Config) -> None:
    from popspark.images.table import read_images
    from popspark.posts.examples import write_examples
    from popspark.runtime.session import get_session
    from popspark.storage.tables import IMAGE_FEATURES, POSTS
    from popspark.storage.warehouse import read_table

    spark = get_session("build_examples", config.env.spark)
    made = write_examples(
        read_table(spark, POSTS, config.posts),
        read_images(spark, config.images),
        read_table(spark, IMAGE_FEATURES, config.image_features),
        config.examples,
        run_id=config.run_id,
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
