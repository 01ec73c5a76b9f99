"""Reads an export (X, Flickr, Instagram, SMP, CSV, Parquet) into the table posts; rows that cannot be posts go to
rejects.

    popspark ingest-posts origin=smpd source=/data/smpd
    popspark ingest-posts origin=csv source=/data/tweets.csv mapping=/data/tweets.yaml

Reads: source, a file or folder.
Writes: posts and rejects, both anew: give all files of the export at once. Posts + rejected = rows in, which is checked
and printed.
"""

from __future__ import annotations

from popspark.ingest.settings import Origin
from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """The export, and the tables it becomes."""

    origin: Origin
    """What kind of export it is."""
    source: str
    """Its file or folder."""
    posts: str = "${env.warehouse}/posts"
    """The table to write."""
    rejects: str = "${env.warehouse}/rejects"
    """A table to write: rows that cannot be posts, with file, line and reason."""
    collected_at: str | None = None
    """When the export was collected (ISO 8601), where it does not tell; labels from views need it."""
    keep_user_names: bool = False
    """Whether user names stay in clear text; else they are hashed."""
    user_name_salt: str = ""
    """What stands before each name as it is hashed."""
    mapping: str | None = None
    """A YAML file that says which column is what; for csv and parquet."""
    is_simulated: bool = False
    """Whether the posts are made up; reports say so."""


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.posts, config.rejects], config.run_id):
        _ingest(config)


def _ingest(config: Config) -> None:
    from popspark.ingest.accounting import write_posts
    from popspark.ingest.exports import check_options, parse_export
    from popspark.runtime.session import get_session
    from popspark.storage.tables import POSTS, REJECTS
    from popspark.storage.writing import begin

    options = check_options(
        config.origin, config.mapping, config.collected_at, config.keep_user_names, config.user_name_salt
    )
    spark = get_session("ingest_posts", config.env.spark)
    parsed = parse_export(spark, config.origin, config.source, options)
    with (
        begin(spark, POSTS, config.posts, config.run_id) as posts,
        begin(spark, REJECTS, config.rejects, config.run_id) as rejects,
    ):
        print(write_posts(parsed, config.origin, config.is_simulated, posts, rejects))
