"""Joins the pairs of generate-pairs with small copies of their pictures, for train-ranker.

    popspark build-pair-examples
    popspark build-pair-examples limits.train=20000

Reads: posts, pair_posts, pairs, pair_audit, images.
Writes: thumbnails; pair_examples; and beside it <pair_examples>.json: what a ranker must know of how they were made.
"""

from __future__ import annotations

from popspark.images.limits import Limits
from popspark.pairs.settings import PairLimits
from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """Tables, and how many pairs are taken."""

    posts: str = "${env.warehouse}/posts"
    """The posts table."""
    pair_posts: str = "${env.warehouse}/pair_posts"
    """Posts as the rules of pairs see them, from generate-pairs."""
    pairs: str = "${env.warehouse}/pairs"
    """The pairs, from generate-pairs."""
    pair_audit: str = "${env.warehouse}/pair_audit"
    """What each rule removed, from generate-pairs."""
    images: str = "${env.warehouse}/images"
    """The images table."""
    thumbnails: str = "${env.warehouse}/thumbnails"
    """A table to write: the images of pairs, made small."""
    pair_examples: str = "${env.warehouse}/pair_examples"
    """The table to write."""
    limits: PairLimits = PairLimits()
    """Pairs by split, at most."""
    seed: int = 0
    """Seed of every random draw."""
    image_limits: Limits = Limits()
    """Limits of the files that are decoded."""


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.thumbnails, config.pair_examples], config.run_id):
        _build(config)


def _build(config: Config) -> None:
    from popspark.images import decode as codecs
    from popspark.images.table import read_images
    from popspark.pairs.examples import join_pair_examples, judge_pairs, make_thumbnails
    from popspark.runtime.session import get_session
    from popspark.storage.examples import PairExamplesRecord
    from popspark.storage.tables import PAIR_AUDIT, PAIR_EXAMPLES, PAIR_POSTS, PAIRS, POSTS, THUMBNAILS
    from popspark.storage.warehouse import count_by_status, read_table
    from popspark.storage.writing import begin, write_table

    spark = get_session("build_pair_examples", config.env.spark)
    pairs = read_table(spark, PAIRS, config.pairs)
    posts = read_table(spark, PAIR_POSTS, config.pair_posts)
    images = read_images(spark, config.images)
    made = make_thumbnails(images, pairs, posts, config.image_limits)
    write_table(made, THUMBNAILS, config.thumbnails, run_id=config.run_id)
    thumbnails = read_table(spark, THUMBNAILS, config.thumbnails)
    judged = judge_pairs(pairs, posts, thumbnails, config.seed).persist()
    examples = join_pair_examples(judged, thumbnails, config.limits, config.seed)
    counts = count_by_status(judged)
    audit = read_table(spark, PAIR_AUDIT, config.pair_audit).orderBy("position").collect()
    record = PairExamplesRecord(
        is_simulated=read_table(spark, POSTS, config.posts).where("is_simulated").limit(1).count() > 0,
        decoder=codecs.VERSION,
        pairs=counts,
        limits=config.limits.model_dump(),
        seed=config.seed,
        audit=tuple(line.asDict() for line in audit),
    )
    with begin(spark, PAIR_EXAMPLES, config.pair_examples, config.run_id) as writing:
        writing.stage(examples)
        PairExamplesRecord.delete(config.pair_examples)
        writing.commit()
    record.save(config.pair_examples)
    judged.unpersist()
    by_split = read_table(spark, PAIR_EXAMPLES, config.pair_examples).groupBy("split").count().collect()
    print(f"{sum(counts.values()):,} pairs")
    for status, n in counts.items():
        print(f"  {status:<28}{n:>10,}")
    print(f"Wrote {sum(row['count'] for row in by_split):,} of them with their photographs to {config.pair_examples}")
    for split, n in sorted((row["split"], row["count"]) for row in by_split):
        print(f"  {split:<28}{n:>10,}")
