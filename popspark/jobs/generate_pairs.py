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
from popspark.runtime.errors import DataError
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
    from popspark.storage.writing import begin

    stages = Stages()
    spark = get_session("generate_pairs", config.env.spark)
    stages.done("session")
    with (
        begin(spark, PAIR_POSTS, config.pair_posts, config.run_id) as posts,
        begin(spark, PAIRS, config.pairs, config.run_id) as pairs,
        begin(spark, PAIR_AUDIT, config.pair_audit, config.run_id) as audit,
    ):
        posts.stage(pair_posts(read_table(spark, POSTS, config.posts), config.rules))
        stages.done("posts judged")
        pairs.stage(generate_pairs(posts.staged(), config.rules, config.preset))
        stages.done("pairs")
        audit.stage(audit_pairs(posts.staged(), pairs.staged(), config.rules, config.preset))
        stages.done("audit")

        print(f"{'':<8}{'rule':<26}{'found':>15}{'removed':>15}{'left':>15}")
        for line in audit.staged().orderBy("position").collect():
            if line.n_removed or line.rule == "max_days":
                print(f"{line.of:<8}{line.rule:<26}{line.n_before:>15,}{line.n_removed:>15,}{line.n_after:>15,}")
        if not pairs.n_staged:
            raise DataError(
                "No two posts are a pair: no table was written.",
                where=config.posts,
                fix="the lines above say which rule removed what: rules.* are settings",
            )
        counts = {
            (r["split"], r["rule"]): r["count"] for r in pairs.staged().groupBy("split", "rule").count().collect()
        }
        for writing in (posts, pairs, audit):
            writing.commit()
    print(f"Wrote {sum(counts.values()):,} pairs to {config.pairs} in {stages.total:.1f} s")
    for (split, rule), n in sorted(counts.items()):
        print(f"  {split:<8}{rule:<26}{n:>15,}")
