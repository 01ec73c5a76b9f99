"""Downloads the images that posts name by URL; a run that was stopped goes on where it was.

    python jobs/fetch_images.py
    python jobs/fetch_images.py politeness.requests_per_second=2 retry=true

Reads   posts: the http and https addresses in column image_id; downloads, where there are some
Writes  downloads: every answer, appended round by round; images: of each URL the last copy, or why there is none
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession

from popspark.images.download import Politeness
from popspark.images.fetching import fetch_images
from popspark.images.limits import Limits
from popspark.runtime.config import JobConfig
from popspark.runtime.queries import load_sql
from popspark.runtime.session import get_session
from popspark.storage.tables import DOWNLOADS, IMAGES, POSTS
from popspark.storage.warehouse import count_by_status, find_table, read_table, write_table


class Config(JobConfig):
    posts: str
    downloads: str
    images: str
    retry: bool
    refresh: bool
    round_size: int = Field(gt=0)
    lanes_per_host: int = Field(gt=0)
    politeness: Politeness
    limits: Limits


def _urls_to_fetch(spark: SparkSession, config: Config, asked_before: datetime) -> DataFrame:
    posts = read_table(spark, POSTS, config.posts)
    urls = posts.select("image_id").where("image_id ILIKE 'http://%' OR image_id ILIKE 'https://%'").distinct()
    found = find_table(spark, DOWNLOADS, config.downloads)
    downloads = found if found is not None else spark.createDataFrame([], DOWNLOADS.schema)
    args = {"is_retry": config.retry, "is_refresh": config.refresh, "asked_before": asked_before}
    return spark.sql(
        load_sql("popspark.images", "urls_to_fetch"), args=args, urls=urls, downloads=downloads.drop("content")
    )


def main(config: Config) -> None:
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
