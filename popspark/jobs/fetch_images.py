"""Downloads the images that posts name by URL; a run that was stopped goes on where it was.

    popspark fetch-images
    popspark fetch-images politeness.requests_per_second=2 retry=true

Reads: posts: the http and https addresses in column image_id; downloads, where there are some
Writes: downloads: every answer, appended round by round; images: of each URL the last copy, or why there is none
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from popspark.images.limits import Limits
from popspark.images.settings import Politeness
from popspark.runtime.config import JobConfig

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Config(JobConfig):
    """Tables, and how hosts are asked."""

    posts: str = "${env.warehouse}/posts"
    """The posts table."""
    downloads: str = "${env.warehouse}/downloads"
    """Every answer of every host."""
    images: str = "${env.warehouse}/images"
    """The table to write."""
    retry: bool = False
    """Whether to ask again for what failed in a way that may pass (timeouts, 429, 5xx)."""
    refresh: bool = False
    """Whether to ask for what is there (If-None-Match)."""
    round_size: PositiveInt = 10_000
    """URLs after which the answers are written: what a stopped run loses at most."""
    lanes_per_host: PositiveInt = 2
    """Tasks that share a host and its requests per second."""
    politeness: Politeness = Politeness()
    """How hosts are asked."""
    limits: Limits = Limits()
    """Of what is decoded."""


def _urls_to_fetch(spark: SparkSession, config: Config, asked_before: datetime) -> DataFrame:
    from popspark.runtime.queries import load_sql
    from popspark.storage.tables import DOWNLOADS, POSTS
    from popspark.storage.warehouse import find_table, read_table

    posts = read_table(spark, POSTS, config.posts)
    urls = posts.select("image_id").where("image_id ILIKE 'http://%' OR image_id ILIKE 'https://%'").distinct()
    found = find_table(spark, DOWNLOADS, config.downloads)
    downloads = found if found is not None else spark.createDataFrame([], DOWNLOADS.schema)
    args = {"is_retry": config.retry, "is_refresh": config.refresh, "asked_before": asked_before}
    return spark.sql(
        load_sql("popspark.images", "urls_to_fetch"), args=args, urls=urls, downloads=downloads.drop("content")
    )


def main(config: Config) -> None:
    from popspark.images.fetching import fetch_images
    from popspark.runtime.queries import load_sql
    from popspark.runtime.session import get_session
    from popspark.storage.tables import DOWNLOADS, IMAGES
    from popspark.storage.warehouse import count_by_status, find_table, read_table, write_table

    spark = get_session("fetch_images", config.env.spark)
    started_at = datetime.now(UTC)
    while not (urls := _urls_to_fetch(spark, config, started_at).limit(config.round_size)).isEmpty():
        rows = fetch_images(urls, config.politeness, config.limits, config.lanes_per_host)
        write_table(rows, DOWNLOADS, config.downloads, mode="append")
    downloads = find_table(spark, DOWNLOADS, config.downloads)
    if downloads is None:
        print("The posts name no URLs.")
        return
    write_table(spark.sql(load_sql("popspark.images", "images_downloaded"), downloads=downloads), IMAGES, config.images)
    counts = count_by_status(read_table(spark, IMAGES, config.images))
    print(f"{sum(counts.values()):,} URLs in {config.images}")
    for status, n in counts.items():
        print(f"  {status:<20}{n:>10,}")
