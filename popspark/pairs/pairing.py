"""Posts to pairs of posts that differ in popularity and in little else but the image.

posts -> `pair_posts` (measured and judged one by one) -> `generate_pairs` -> `audit_pairs` (what each rule removed).

Hashtags and mentions are compared in normal form: NFKC, case folded, without leading # and @, each once. Spark SQL has
no Unicode normalisation, so that only printable ASCII without spaces and marks stays in SQL; the rest goes through
Python. On this way the tags of a post are one text, and nothing here takes a lambda: Spark compiles such functions, and
interprets those of arrays that do.

An image stands in one pair at most (`each_image_once`) by a greedy matching: the pairs of a user, in the order of a
draw by hash (ties by the ids), each taken if neither of its images is yet. So it is maximal (no two images left over
could still make a pair), prefers no margin, and is the same in every run.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import StringType

from popspark.pairs.settings import PairRules
from popspark.runtime.queries import load_sql
from popspark.storage.tables import PAIR_AUDIT, PAIR_POSTS, PAIRS

MARKS = r"^[\s#@]+|\s+$"
SEPARATOR = "\x01"  # of tags in a text: a tag that holds it counts as two
PLAIN = r"^[\x01!-\"$-?A-~]*\z"  # printable ASCII without a space, # or @: only its case is to be folded
FEW_TAGS = 8  # that are hashed by compiled code

POST_RULES = (
    "unique_post_id",
    "posted_at_known",
    "counts_not_negative",
    "counts_known",
    "log_defined",
    "hashtags_known",
    "mentions_known",
    "caption_known",
    "max_caption_words",
    "one_image",
    "min_likes",
    "min_age_days",
    "each_image_once",
    "max_candidates_per_user",
)
"""What can remove a post, in the order of application."""

PAIR_RULES = (
    "max_days",
    "different_images",
    "max_word_difference",
    "hashtags",
    "min_probability",
    "different_popularity",
    "strict_share",
    "max_pairs_per_user",
    "each_image_once",
)
"""What can remove a pair, in the order of application."""


@lru_cache(maxsize=100_000)
def normalize_tag(tag: str) -> str:
    """NFKC and case folded (Unicode 3.13, D145), without whitespace around it and without leading # and @."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", tag).casefold())
    return re.sub(MARKS, "", folded)


def _normalize_texts(texts: pd.Series) -> pd.Series:
    """Texts of tags in normal form; on executors.

    As objects, for Spark cannot take the strings of pandas 3, where they lie in several chunks.
    """
    normal = texts.map(lambda text: SEPARATOR.join(map(normalize_tag, text.split(SEPARATOR))), na_action="ignore")
    return normal.astype(object)


def normal_tags(name: str) -> Column:
    """The array column of that name in normal form, sorted; null for null."""
    in_python = pandas_udf(_normalize_texts, StringType())  # type: ignore[call-overload]
    text = F.when(F.col(name).isNotNull(), F.concat_ws(SEPARATOR, name))
    is_plain = text.rlike(PLAIN)
    normal = F.when(is_plain, F.lower(text)).otherwise(in_python(F.when(~is_plain, text)))
    return F.sort_array(F.array_distinct(F.array_remove(F.split(normal, SEPARATOR), "")))


def tag_hashes(tags: Column) -> Column:
    """xxHash64 of each of an array of strings; null for null."""
    few = F.slice(F.array(*(F.xxhash64(F.get(tags, F.lit(n))) for n in range(FEW_TAGS))), F.lit(1), F.size(tags))
    return F.when(F.size(tags) <= FEW_TAGS, few).otherwise(F.transform(tags, lambda tag: F.xxhash64(tag)))


def _query(spark: SparkSession, text: str, args: dict[str, Any], **tables: DataFrame) -> DataFrame:
    """The query with those of `args` that it mentions: Spark refuses others."""
    mentioned = set(re.findall(r"(?<!:):([a-z_]+)", text))
    return spark.sql(text, args={k: v for k, v in args.items() if k in mentioned}, **tables)


def pair_posts(posts: DataFrame, rules: PairRules) -> DataFrame:
    """`popspark.storage.tables.PAIR_POSTS`: one row per row of `posts`. Worth writing: it is read several times."""
    normal = {f"normal_{name}": normal_tags(name) for name in ("hashtags", "mentions")}
    tagged = posts.withColumns(normal).withColumn("tags", tag_hashes(F.col("normal_hashtags")))
    rows = _query(posts.sparkSession, load_sql(__package__, "pair_posts"), rules.sql_args, posts=tagged)
    if rules.each_image_once:
        rows = _query(posts.sparkSession, load_sql(__package__, "first_posts_of_images"), rules.sql_args, posts=rows)
    return rows.select(*PAIR_POSTS.columns)


def thin_posts(rows: DataFrame, rules: PairRules) -> DataFrame:
    """Those of `rows`, made by `pair_posts`, that are compared: `thinned_posts.sql`, or all that may pair."""
    if rules.max_candidates_per_user is None:
        return rows.where("removed_by IS NULL")
    return _query(rows.sparkSession, load_sql(__package__, "thinned_posts"), rules.sql_args, posts=rows)


def candidate_pairs(thinned: DataFrame, rules: PairRules, preset: str) -> DataFrame:
    """`candidate_pairs.sql`: with the rule that removes each. preset: what `rule` will say."""
    return _query(
        thinned.sparkSession,
        load_sql(__package__, "candidate_pairs"),
        {**rules.sql_args, "preset": preset},
        posts=thinned,
    )


def generate_pairs(rows: DataFrame, rules: PairRules, preset: str) -> DataFrame:
    """`popspark.storage.tables.PAIRS` of `rows`, made by `pair_posts`: each unordered pair once."""
    candidates = candidate_pairs(thin_posts(rows, rules), rules, preset)
    pairs = _query(rows.sparkSession, load_sql(__package__, "pairs"), rules.sql_args, candidates=candidates)
    if rules.max_pairs_per_user is not None:
        pairs = _query(rows.sparkSession, load_sql(__package__, "capped_pairs"), rules.sql_args, pairs=pairs)
    if rules.each_image_once:
        pairs = match_pairs(pairs)
    return pairs.select(*PAIRS.columns)


def match_pairs(pairs: DataFrame) -> DataFrame:
    """Those of `pairs` that the greedy matching takes, user by user. pairs: with draw and user_key; one post per image.

    Holds the pairs of one user in a worker's memory: `max_pairs_per_user` bounds them, and since it keeps the first
    ones in the same order, the matching is the same as far as they reach.
    """
    return pairs.groupBy("user_key").applyInPandas(_match, pairs.schema)


def _match(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs of one user that the matching takes; on executors."""
    ordered = pairs.sort_values(["draw", "post_id_l", "post_id_r"])
    taken: set[str] = set()
    is_matched = []
    for left, right in zip(ordered["post_id_l"], ordered["post_id_r"], strict=True):
        is_free = left not in taken and right not in taken
        if is_free:
            taken.update((left, right))
        is_matched.append(is_free)
    return ordered[is_matched]


def audit_pairs(rows: DataFrame, pairs: DataFrame, rules: PairRules, preset: str) -> DataFrame:
    """`popspark.storage.tables.PAIR_AUDIT`: a row per rule, with what it found and what it left.

    rows: made by `pair_posts`; pairs: by `generate_pairs`. Joins the candidates again, to count and not to keep them.
    Pairs start as all those of one user with the same `match_key` (identical hashtags and mentions, where asked for).
    """
    spark = rows.sparkSession
    thinned = thin_posts(rows, rules)
    removed_posts = _counts(rows.groupBy("removed_by").count())
    removed_posts["max_candidates_per_user"] = removed_posts.pop(None, 0) - thinned.count()
    lines = _waterfall("posts", POST_RULES, rows.count(), removed_posts)

    groups = thinned.groupBy("user_key", "match_key").count()
    n_pairs = groups.agg(F.sum(F.expr("count * (count - 1) div 2"))).collect()[0][0] or 0
    by_user = candidate_pairs(thinned, rules, preset).groupBy("user_key", "removed_by").count()
    left = F.least("count", F.lit(rules.max_pairs_per_user))  # which passes over a null
    found = by_user.groupBy("removed_by").agg(F.sum("count").alias("count"), F.sum(left).alias("capped")).collect()
    removed = {row["removed_by"]: row["count"] for row in found}
    kept = removed.pop(None, 0)
    capped = sum(row["capped"] for row in found if row["removed_by"] is None)
    # pairs that are not even candidates are further apart than max_days
    removed["max_days"] = n_pairs - kept - sum(n for rule, n in removed.items() if rule != "max_days")
    removed["max_pairs_per_user"] = kept - capped
    removed["each_image_once"] = capped - pairs.count()
    lines += _waterfall("pairs", PAIR_RULES, n_pairs, removed)
    return spark.createDataFrame([(position, *line) for position, line in enumerate(lines)], PAIR_AUDIT.schema)


def _counts(rows: DataFrame) -> dict[str | None, int]:
    return {row[0]: row["count"] for row in rows.collect()}


def _waterfall(
    of: str, rules: tuple[str, ...], n: int, removed: dict[str | None, int]
) -> list[tuple[str, str, int, int, int]]:
    """of, rule, n_before, n_removed, n_after, in the order of `rules`."""
    lines = []
    for rule in rules:
        n_removed = removed.get(rule, 0)
        lines.append((of, rule, n, n_removed, n - n_removed))
        n -= n_removed
    return lines
