"""Indexes image files: where each is, its sha256 and size, and whether it can be read. Nothing is copied.

    popspark ingest-images source=path/to/photographs
    popspark ingest-images source='photos/2024-*/*.jpg' images=warehouse/images
    popspark ingest-images posts=warehouse/posts root=path/to/photographs

Reads: a folder or glob (`source`), or the paths in column image_id of a posts table (`posts`), below `root`.
Writes: images, references to the files; every file has a row, refused ones with their status.
"""

from __future__ import annotations

from popspark.images.limits import Limits
from popspark.runtime.config import JobConfig
from popspark.runtime.errors import ConfigError


class Config(JobConfig):
    """What to index: source, or posts with root."""

    images: str = "${env.warehouse}/images"
    """The table to write."""
    source: str | None = None
    """A folder, or a glob; each file is an image, named by its path below it."""
    posts: str | None = None
    """In the place of source: a posts table, whose image_id are paths below root."""
    root: str | None = None
    """The folder that those paths must stay in."""
    limits: Limits = Limits()
    """Of what is decoded."""


def main(config: Config) -> None:
    from popspark.images.index import index_images, list_images
    from popspark.runtime.session import get_session
    from popspark.storage.tables import IMAGES, POSTS
    from popspark.storage.warehouse import count_by_status, read_table, write_table

    if (config.source is None) == (config.posts is None) or (config.posts is not None and config.root is None):
        raise ConfigError(
            "Set either source, or posts with root.",
            where="conf/ingest_images.yaml",
            got=f"source={config.source}, posts={config.posts}, root={config.root}",
        )
    spark = get_session("ingest_images", config.env.spark)
    if config.source is not None:
        paths, root = list_images(spark, config.source)
    else:
        paths, root = read_table(spark, POSTS, str(config.posts)).select("image_id"), str(config.root)
    write_table(index_images(paths, root, config.limits), IMAGES, config.images)

    counts = count_by_status(read_table(spark, IMAGES, config.images))
    print(f"Ingested {sum(counts.values()):,} images into {config.images}")
    for status, n in counts.items():
        print(f"  {status:<16}{n:>10,}")
