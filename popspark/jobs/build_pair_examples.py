"""Joins pairs with their photographs, made small: the table that a ranker is trained on.

    spark-submit --py-files dist/popspark.zip jobs/build_pair_examples.py
    spark-submit ... jobs/build_pair_examples.py limits.train=20000

Reads: posts, pair_posts, pairs, pair_audit, images.
Writes: thumbnails; pair_examples; and beside it <pair_examples>.json: what a ranker must know of how they were made.
"""

from __future__ import annotations

from popspark.images import decode as codecs
from popspark.pairs.examples import PairLimits, join_pair_examples, make_thumbnails, picture_pairs
from popspark.runtime.config import JobConfig
from popspark.runtime.session import get_session
from popspark.storage.examples import PairExamplesRecord
from popspark.storage.tables import IMAGES, PAIR_AUDIT, PAIR_EXAMPLES, PAIR_POSTS, PAIRS, POSTS, THUMBNAILS
from popspark.storage.warehouse import count_by_status, read_table, write_table


class Config(JobConfig):
    """Tables; limits: pairs by split. seed: of every draw. image_limits: of what is decoded."""

    posts: str
    pair_posts: str
    pairs: str
    pair_audit: str
    images: str
    thumbnails: str
    pair_examples: str
    limits: PairLimits
    seed: int
    image_limits: codecs.Limits


def main(config: Config) -> None:
    spark = get_session("build_pair_examples", config.env.spark)
    pairs = read_table(spark, PAIRS, config.pairs)
    posts = read_table(spark, PAIR_POSTS, config.pair_posts)
    images = read_table(spark, IMAGES, config.images)
    write_table(make_thumbnails(images, pairs, posts, config.image_limits), THUMBNAILS, config.thumbnails)
    thumbnails = read_table(spark, THUMBNAILS, config.thumbnails)
    pictured = picture_pairs(pairs, posts, thumbnails, config.seed).persist()
    examples = join_pair_examples(pictured, thumbnails, config.limits, config.seed)
    write_table(examples, PAIR_EXAMPLES, config.pair_examples)

    counts = count_by_status(pictured)
    pictured.unpersist()
    by_split = read_table(spark, PAIR_EXAMPLES, config.pair_examples).groupBy("split").count().collect()
    audit = read_table(spark, PAIR_AUDIT, config.pair_audit).orderBy("place").collect()
    record = PairExamplesRecord(
        is_simulated=read_table(spark, POSTS, config.posts).where("is_simulated").limit(1).count() > 0,
        decoder=codecs.VERSION,
        pairs=counts,
        limits=config.limits.model_dump(),
        seed=config.seed,
        audit=tuple(line.asDict() for line in audit),
    )
    record.save(config.pair_examples)
    print(f"{sum(counts.values()):,} pairs")
    for status, n in counts.items():
        print(f"  {status:<28}{n:>10,}")
    print(f"Wrote {sum(row['count'] for row in by_split):,} of them with their photographs to {config.pair_examples}")
    for split, n in sorted((row["split"], row["count"]) for row in by_split):
        print(f"  {split:<28}{n:>10,}")
