"""Downloads the images that posts name by URL; a run that was stopped goes on where it was.

    python jobs/fetch_images.py
    python jobs/fetch_images.py politeness.requests_per_second=2 retry=true

Reads   posts: the http and https addresses in column image_id; downloads, where there are some
Writes  downloads: every answer, appended round by round; images: of each URL the last copy, or why there is none
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field

from popspark.images.decode import Limits
from popspark.images.fetching import fetch_images, images_downloaded, urls_to_fetch
from popspark.images.settings import Politeness
from popspark.runtime.config import JobConfig
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


def main(config: Config) -> None:
    spark = get_session("fetch_images", config.env.spark)
    started_at = datetime.now(UTC)
    while True:
        posts, asked = read_table(spark, POSTS, config.posts), find_table(spark, DOWNLOADS, config.downloads)
        urls = urls_to_fetch(posts, asked, retry=config.retry, refresh=config.refresh, asked_before=started_at)
        urls = urls.limit(config.round_size)
        if urls.isEmpty():
            break
        rows = fetch_images(urls, config.politeness, config.limits, config.lanes_per_host)
        write_table(rows, DOWNLOADS, config.downloads, mode="append")
    downloads = find_table(spark, DOWNLOADS, config.downloads)
    if downloads is None:
        print("The posts name no URLs.")
        return
    write_table(images_downloaded(downloads), IMAGES, config.images)
    counts = count_by_status(read_table(spark, IMAGES, config.images))
    print(f"{sum(counts.values()):,} URLs in {config.images}")
    for status, n in counts.items():
        print(f"  {status:<20}{n:>10,}")
