"""The shipped posts are what the shipped settings make of the shipped photographs."""

from __future__ import annotations

from pathlib import Path

from popspark.jobs.simulate_posts import Config
from popspark.runtime.config import load_config
from popspark.simulation.image_effects import measure_images
from popspark.simulation.simulation import simulate_posts
from popspark.storage.tables import IMAGE_BLOBS, POSTS
from popspark.storage.warehouse import read_table

ROOT = Path(__file__).resolve().parents[3]


def test_the_command_gives_the_shipped_posts_again(spark):
    config = load_config(Config)
    rows = [
        (photo.name, None, None, None, None, "JPEG", "ok", None, photo.read_bytes())
        for photo in sorted((ROOT / "sample" / "photos").iterdir())
    ]
    images = measure_images(spark.createDataFrame(rows, IMAGE_BLOBS.schema))
    again = simulate_posts(spark, config.simulation, images).orderBy("post_id").collect()
    shipped = read_table(spark, POSTS, str(ROOT / "sample" / "posts")).orderBy("post_id").collect()
    assert [row.asDict() for row in again] == [row.asDict() for row in shipped]


def test_every_image_but_the_missing_one_is_shipped(spark):
    posts = read_table(spark, POSTS, str(ROOT / "sample" / "posts")).select("image_id", "is_simulated").toPandas()
    shipped = {photo.name for photo in (ROOT / "sample" / "photos").iterdir()}
    assert set(posts.image_id.dropna()) - shipped == {"no_such_photograph.jpg"}
    assert posts.is_simulated.all()
