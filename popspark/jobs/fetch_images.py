"""Downloads the images that posts name by URL. A run that was stopped goes on where it was.

    popspark fetch-images
    popspark fetch-images politeness.requests_per_second=2 retry=true

Reads: the http and https addresses in column image_id of posts; downloads, where there are some.
Writes: downloads, every answer, appended round by round; images, anew: of each URL the last copy, or why there is none;
and the image files, in `store`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import PositiveInt

from popspark.images.limits import Limits
from popspark.images.settings import Politeness
from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """Tables, and how hosts are asked."""

    posts: str = "${env.warehouse}/posts"
    """The posts table."""
    downloads: str = "${env.warehouse}/downloads"
    """Every answer of every host."""
    images: str = "${env.warehouse}/images"
    """The table to write."""
    store: str = "${env.warehouse}/downloaded"
    """The folder or url that gets the images themselves, each under its sha256."""
    retry: bool = False
    """Whether to ask again for what failed in a way that may pass (timeouts, 429, 5xx, what robots are told)."""
    refresh: bool = False
    """Whether to ask for what is there (If-None-Match)."""
    round_size: PositiveInt = 10_000
    """URLs after which the answers are written: what a stopped run loses at most."""
    lanes_per_host: PositiveInt = 2
    """Tasks that share a host and its requests per second."""
    politeness: Politeness = Politeness()
    """How hosts are asked."""
    limits: Limits = Limits()
    """Limits of the files that are taken."""


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.downloads, config.images], config.run_id):
        _fetch(config)


def _fetch(config: Config) -> None:
    from popspark.images.downloads.fetching import fetch_images, images_downloaded, urls_to_fetch
    from popspark.runtime.session import get_session
    from popspark.storage.tables import DOWNLOADS, IMAGES, POSTS
    from popspark.storage.warehouse import count_by_status, find_table, read_table
    from popspark.storage.writing import write_table

    spark = get_session("fetch_images", config.env.spark)
    started_at = datetime.now(UTC)
    store = config.store if "://" in config.store else str(Path(config.store).absolute())
    while True:
        posts, asked = read_table(spark, POSTS, config.posts), find_table(spark, DOWNLOADS, config.downloads)
        urls = urls_to_fetch(posts, asked, retry=config.retry, refresh=config.refresh, asked_before=started_at)
        urls = urls.limit(config.round_size)
        if urls.isEmpty():
            break
        rows = fetch_images(urls, store, config.politeness, config.limits, config.lanes_per_host, started_at)
        write_table(rows, DOWNLOADS, config.downloads, "append", config.run_id)
    downloads = find_table(spark, DOWNLOADS, config.downloads)
    if downloads is None:
        print("The posts name no URLs.")
        return
    write_table(images_downloaded(downloads), IMAGES, config.images, run_id=config.run_id)
    counts = count_by_status(read_table(spark, IMAGES, config.images))
    print(f"{sum(counts.values()):,} URLs in {config.images}")
    for status, n in counts.items():
        print(f"  {status:<20}{n:>10,}")
