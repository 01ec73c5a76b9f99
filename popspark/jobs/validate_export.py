"""Prints what an export of posts holds, before it is ingested.

    popspark validate-export origin=smpd source=/data/smpd
    popspark validate-export origin=smp_t1 source=/data/t1 images_root=/data/t1/images page=t1.txt

Reads: source, as for ingest-posts; images_root, the folder that the paths of images are relative to.
Writes: page, where one is named; the same is printed.
"""

from __future__ import annotations

from functools import partial

from popspark.ingest.settings import Origin
from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """The export, and where its page goes."""

    origin: Origin
    """What kind of export it is."""
    source: str
    """Its file or folder."""
    images_root: str | None = None
    """A folder below which the images of the posts should be: those that are there are counted."""
    page: str | None = None
    """A file to write the page to; it is printed in any case."""
    mapping: str | None = None
    """A YAML file that says which column is what; for csv and parquet."""
    collected_at: str | None = None
    """When the export was collected (ISO 8601), where it does not tell."""


def main(config: Config) -> None:
    from popspark.images.index import look_up_images
    from popspark.images.listing import existing_root
    from popspark.ingest.accounting import complete
    from popspark.ingest.exports import check_options, find_export, parse_export
    from popspark.ingest.validation import inspect_rows
    from popspark.ingest.validation_page import as_page
    from popspark.posts.labels import count_labels
    from popspark.runtime.files import write_whole
    from popspark.runtime.session import get_session

    options = check_options(config.origin, config.mapping, config.collected_at)
    root = existing_root(config.images_root) if config.images_root else None
    spark = get_session("validate_export", config.env.spark)
    parsed = parse_export(spark, config.origin, config.source, options)
    listed = find_export(spark, config.origin, config.source, options)
    files = [(file, True) for file in listed.read] + [(file, False) for file in listed.left_out + listed.hidden]
    look_up = partial(look_up_images, root=root) if root else None
    found = inspect_rows(complete(parsed, config.origin, is_simulated=False), files, count_labels, look_up)
    told = f"\n\n{listed}" if str(listed) else ""
    page = f"{config.origin} export in {config.source}\n\n{as_page(found)}{told}"
    print(page)
    if config.page:
        write_whole(config.page, f"{page}\n".encode())
