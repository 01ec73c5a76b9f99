"""Makes a posts table with made-up users, texts and counts, whose true effects are known.

    popspark simulate-posts
    popspark simulate-posts --config smpd

Reads: images (may be null: each post then names an image of its own that does not exist).
Writes: posts, marked is_simulated; the true effects and the expected popularity are in `extra`.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig
from popspark.simulation.settings import Simulation


class Config(JobConfig):
    """The table, and the effects in it."""

    images: str | None = "${env.warehouse}/images"
    """The table whose images are posted; null: each post names one that does not exist."""
    posts: str = "${env.warehouse}/posts"
    """The table to write."""
    simulation: Simulation = Simulation()
    """Sizes and effects; the defaults are those of sample/."""


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.posts], config.run_id):
        _simulate(config)


def _simulate(config: Config) -> None:
    from pyspark.sql import functions as F

    from popspark.images.table import read_images
    from popspark.runtime.session import get_session
    from popspark.simulation.image_effects import measure_images
    from popspark.simulation.simulation import simulate_posts
    from popspark.storage.tables import POSTS
    from popspark.storage.warehouse import read_table
    from popspark.storage.writing import write_table

    spark = get_session("simulate_posts", config.env.spark)
    images = measure_images(read_images(spark, config.images)).persist() if config.images else None
    write_table(simulate_posts(spark, config.simulation, images), POSTS, config.posts, run_id=config.run_id)

    posts = read_table(spark, POSTS, config.posts)
    n = posts.agg(
        F.count("*").alias("posts"),
        F.count_distinct("user_id").alias("users"),
        F.count_distinct("image_id").alias("images"),
        F.median("n_views").alias("views"),
    ).first()
    assert n is not None
    print(
        f"Simulated {n['posts']:,} posts of {n['users']:,} users over {n['images']:,} images; "
        f"median views {n['views']:,.0f}.\nWrote {config.posts}"
    )
