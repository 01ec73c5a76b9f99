"""An export of posts to the posts table, and what cannot be a post to the rejects table.

    python jobs/ingest_posts.py origin=smpd source=/data/smpd
    python jobs/ingest_posts.py origin=csv source=/data/tweets.csv mapping=/data/tweets.yaml

Reads   source: a file or folder of the origin smp_t1, smpd, x_api, flickr, csv or parquet
Writes  posts, rejects: with posts + rejected = rows in, which is checked and printed
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from popspark.command import run
from popspark.config import JobConfig
from popspark.errors import ConfigError, PathError
from popspark.ingest import Options, parse_export
from popspark.ingest.accounting import complete, refuse_duplicates, write_posts
from popspark.session import get_session


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


def _load_mapping(path: str) -> dict[str, Any]:
    import yaml

    if not Path(path).is_file():
        raise PathError("There is no such column mapping.", where=path)
    mapping = yaml.safe_load(Path(path).read_text("utf-8"))
    if not isinstance(mapping, dict):
        raise ConfigError("A column mapping is `column of posts: column of the export`, a line each.", where=path)
    return mapping


def main(config: Config) -> None:
    spark = get_session("ingest_posts", config.env.spark)
    options = Options(
        collected_at=config.collected_at,
        keep_user_names=config.keep_user_names,
        user_name_salt=config.user_name_salt,
        mapping=_load_mapping(config.mapping) if config.mapping else None,
    )
    parsed = parse_export(spark, config.origin, config.source, options)
    rows = refuse_duplicates(complete(parsed, config.origin, config.is_simulated))
    print(write_posts(spark, rows, config.origin, config.posts, config.rejects))


if __name__ == "__main__":
    run(__file__, __doc__, Config, main)
