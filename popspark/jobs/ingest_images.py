"""Lists image files in the table images: where each is, its sha256 and size, and whether it can be read.

Nothing is copied. Run it again after adding files.

    popspark ingest-images source=path/to/photographs
    popspark ingest-images source='photos/2024-*/*.jpg' images=warehouse/images
    popspark ingest-images posts=warehouse/posts root=path/to/photographs

Reads: a folder or glob (`source`), or the paths in column image_id of a posts table (`posts`), below `root`.
Writes: images, anew: references to the files; every file has a row, refused ones with their status. Hidden files,
videos and what NAS and phones put beside photographs are counted and left out.
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
    """The folder that those paths must stay in. Where there is no such file, the one is taken that differs in case, in
    the form of its letters (NFC, NFD), slashes, %20 or the extension only."""
    follow_links: bool = False
    """Whether links that lead out of the folder are read."""
    limits: Limits = Limits()
    """Limits of the files that are read."""


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.images], config.run_id):
        _ingest(config)


def _ingest(config: Config) -> None:
    from popspark.images.index import count_respelt, index_images, to_rows
    from popspark.images.listing import existing_root, find_files
    from popspark.runtime.session import get_session
    from popspark.storage.tables import IMAGES, POSTS
    from popspark.storage.warehouse import count_by_status, read_table
    from popspark.storage.writing import write_table

    if (config.source is None) == (config.posts is None) or (config.posts is not None and config.root is None):
        raise ConfigError(
            "Set either source, or posts with root.",
            where="source, posts, root",
            got=f"source={config.source}, posts={config.posts}, root={config.root}",
        )
    files = find_files(config.source, config.follow_links) if config.source is not None else None
    root = files.root if files else existing_root(str(config.root))
    spark = get_session("ingest_images", config.env.spark)
    paths = to_rows(spark, files) if files else read_table(spark, POSTS, str(config.posts)).select("image_id")
    write_table(
        index_images(paths, root, config.limits, config.follow_links), IMAGES, config.images, run_id=config.run_id
    )

    images = read_table(spark, IMAGES, config.images)
    counts = count_by_status(images)
    print(f"Ingested {sum(counts.values()):,} images into {config.images}")
    for status, n in counts.items():
        print(f"  {status:<16}{n:>10,}")
    if config.posts is not None and (n_respelt := count_respelt(images, root)):
        print(f"Found by another spelling than the post's (case, letters, slashes, %20, extension): {n_respelt:,}")
    if files and files.left_out:
        print(files)
