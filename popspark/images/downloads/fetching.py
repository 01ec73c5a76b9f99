"""URLs of posts to the downloads table, each fetched once, with a limit for each host; and downloads to images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from popspark.images import decode as codecs
from popspark.images.downloads.download import Downloader
from popspark.images.limits import Limits
from popspark.images.references import write_once
from popspark.images.settings import Politeness
from popspark.runtime.queries import load_sql
from popspark.storage.tables import DOWNLOADS
from popspark.storage.warehouse import no_rows

ROWS_AT_ONCE = 100
"""Answers held before they go to Spark."""


def urls_to_fetch(
    posts: DataFrame, downloads: DataFrame | None, *, retry: bool, refresh: bool, asked_before: datetime
) -> DataFrame:
    """The http and https addresses that posts name as their image and that are left to ask for, once each.

    image_id, with etag and last_modified of the copy at hand. downloads: what was asked for so far, None for nothing.
    retry: ask again for what failed in a way that may pass. refresh: ask again for what is there. Both regard only
    answers before `asked_before`.
    """
    spark = posts.sparkSession
    urls = posts.select("image_id").where("image_id ILIKE 'http://%' OR image_id ILIKE 'https://%'").distinct()
    asked = no_rows(spark, DOWNLOADS) if downloads is None else downloads
    # As a number: what a time of Python's becomes depends on spark.sql.timestampType.
    args = {"is_retry": retry, "is_refresh": refresh, "asked_before_us": round(asked_before.timestamp() * 1e6)}
    return spark.sql(load_sql(__package__, "urls_to_fetch"), args=args, urls=urls, downloads=asked)


def images_downloaded(downloads: DataFrame) -> DataFrame:
    """The images table as the downloads stand: of each URL the last copy, or why there is none."""
    return downloads.sparkSession.sql(load_sql(__package__, "images_downloaded"), downloads=downloads)


def fetch_images(
    urls: DataFrame, store: str, politeness: Politeness, limits: Limits, lanes_per_host: int, started_at: datetime
) -> DataFrame:
    """One row of `DOWNLOADS` per URL. urls: image_id, etag, last_modified (null where there is no copy yet).

    store: the folder or url that gets the images, each under its sha256. started_at: of the run, UTC; no answer is
    dated before it, however late an executor's clock is, or `urls_to_fetch` would ask for it again in the same run.

    All URLs of a host go to `lanes_per_host` tasks, each with its share of the host's requests per second and its own
    look at robots.txt, so the limit holds over the cluster. Computing the result twice asks twice: write it, then read
    it.
    """
    lane = F.pmod(F.xxhash64("image_id"), F.lit(lanes_per_host))
    lanes = urls.withColumns({"host": F.try_parse_url("image_id", F.lit("HOST")), "lane": lane})
    fetch = _build_fetcher(politeness, limits, lanes_per_host, store, started_at)
    return lanes.repartition("host", "lane").mapInPandas(fetch, DOWNLOADS.schema)  # type: ignore[arg-type]


def _row(
    downloader: Downloader, store: str, started_at: datetime, url: str, etag: str | None, last_modified: str | None
) -> dict[str, Any]:
    found = downloader.fetch(url, etag, last_modified)
    content, header = found.content, found.header
    sha256 = codecs.sha256(content) if content else None
    return {
        "image_id": url,
        "uri": write_once(f"{store.rstrip('/')}/{sha256[:2]}/{sha256}", content) if content and sha256 else None,
        "sha256": sha256,
        "n_bytes": len(content) if content else None,
        "width_px": header.width_px if header else None,
        "height_px": header.height_px if header else None,
        "format": header.format if header else None,
        "status": found.status,
        "error": found.error,
        "etag": found.etag,
        "last_modified": found.last_modified,
        "fetched_at": max(datetime.now(UTC), started_at),
    }


def _build_fetcher(
    politeness: Politeness, limits: Limits, lanes_per_host: int, store: str, started_at: datetime
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def fetch(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Rows of downloads; on executors."""
        downloader = Downloader(politeness, limits, lanes_per_host)
        held: list[dict[str, Any]] = []
        for batch in batches:
            for row in batch.itertuples():
                held.append(_row(downloader, store, started_at, row.image_id, row.etag, row.last_modified))
                if len(held) >= ROWS_AT_ONCE:
                    yield _frame(held)
                    held = []
        if held:
            yield _frame(held)

    return fetch


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(DOWNLOADS.columns))
    for name in ("n_bytes", "width_px", "height_px"):
        frame[name] = frame[name].astype("Int64")
    return frame
