"""An export of posts to the posts table, and what cannot be a post to the rejects table.

    python jobs/ingest_posts.py origin=smpd source=/data/smpd
    python jobs/ingest_posts.py origin=csv source=/data/tweets.csv mapping=/data/tweets.yaml

Reads   source: a file or folder of the origin smp_t1, smpd, x_api, flickr, csv or parquet
Writes  posts, rejects: with posts + rejected = rows in, which is checked and printed
"""

from __future__ import annotations

from popspark.ingest import Options, load_mapping, parse_export
from popspark.ingest.accounting import write_posts
from popspark.runtime.config import JobConfig
from popspark.runtime.session import get_session


class Config(JobConfig):
    origin: str
    source: str
    posts: str
    rejects: str
    collected_at: str | None
    keep_user_names: bool
    user_name_salt: str
    mapping: str | None
    is_simulated: bool


def main(config: Config) -> None:
    spark = get_session("ingest_posts", config.env.spark)
    options = Options(
        collected_at=config.collected_at,
        keep_user_names=config.keep_user_names,
        user_name_salt=config.user_name_salt,
        mapping=load_mapping(config.mapping) if config.mapping else None,
    )
    parsed = parse_export(spark, config.origin, config.source, options)
    print(write_posts(spark, parsed, config.origin, config.is_simulated, config.posts, config.rejects))
