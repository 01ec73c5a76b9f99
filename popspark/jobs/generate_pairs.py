"""Finds pairs of posts of one user, one more popular than the other, that differ in little but the picture.

    popspark generate-pairs
    popspark generate-pairs preset=ding rules.min_probability=0.9 rules.max_pairs_per_user=1000

Reads: posts.
Writes: pair_posts (each post as the rules see it), pairs, and pair_audit (what each rule removed).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from popspark.pairs.settings import PRESETS, PairPreset, PairRules
from popspark.runtime.config import JobConfig
from popspark.runtime.stages import Stages


class Config(JobConfig):
    """Tables, and the rules that make a pair."""

    posts: str = "${env.warehouse}/posts"
    """The posts table."""
    pair_posts: str = "${env.warehouse}/pair_posts"
    """A table to write: posts as the rules see them."""
    pairs: str = "${env.warehouse}/pairs"
    """The table to write."""
    pair_audit: str = "${env.warehouse}/pair_audit"
    """A table to write: what each rule removed."""
    preset: PairPreset = "twitter"
    """twitter: Agrawal et al.; ding: Ding et al."""
    rules: PairRules = Field(default_factory=PairRules)
    """Rules that differ from those of the preset."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        rules = {**PRESETS.get(values.get("preset", ""), {}), **(values.get("rules") or {})}
        return {**values, "rules": rules}


def main(config: Config) -> None:
    from popspark.storage.writing import claim

    with claim([config.pair_posts, config.pairs, config.pair_audit], config.run_id):
        _generate(config)


def _generate(config: Config) -> None:
    from popspark.pairs.pairing import audit_pairs, generate_pairs, pair_posts
    from popspark.runtime.session import get_session
    from popspark.storage.tables import PAIR_AUDIT, PAIR_POSTS, PAIRS, POSTS
    from popspark.storage.warehouse import read_table
    from popspark.storage.writing import write_table

    stages = Stages()
    spark = get_session("generate_pairs", config.env.spark)
    stages.done("session")
    judged = pair_posts(read_table(spark, POSTS, config.posts), config.rules)
    write_table(judged, PAIR_POSTS, config.pair_posts, run_id=config.run_id)
    stages.done("posts judged")
    rows = read_table(spark, PAIR_POSTS, config.pair_posts)
    write_table(generate_pairs(rows, config.rules, config.preset), PAIRS, config.pairs, run_id=config.run_id)
    stages.done("pairs")
    pairs = read_table(spark, PAIRS, config.pairs)
    write_table(
        audit_pairs(rows, pairs, config.rules, config.preset), PAIR_AUDIT, config.pair_audit, run_id=config.run_id
    )
    stages.done("audit")

    print(f"{'':<8}{'rule':<26}{'found':>15}{'removed':>15}{'left':>15}")
    for line in read_table(spark, PAIR_AUDIT, config.pair_audit).orderBy("position").collect():
        if line.n_removed or line.rule == "max_days":
            print(f"{line.of:<8}{line.rule:<26}{line.n_before:>15,}{line.n_removed:>15,}{line.n_after:>15,}")
    counts = {(r["split"], r["rule"]): r["count"] for r in pairs.groupBy("split", "rule").count().collect()}
    print(f"Wrote {sum(counts.values()):,} pairs to {config.pairs} in {stages.total:.1f} s")
    for (split, rule), n in sorted(counts.items()):
        print(f"  {split:<8}{rule:<26}{n:>15,}")
