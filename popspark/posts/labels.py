"""Popularity labels: posts to (post_id, label, status), one row per post, by a rule with a name.

| rule | label | options |
|---|---|---|
| `flickr_views` | log2(n_views / days) + 1, days = collected_at - posted_at with fraction | min_age_days, zero_views |
| `twitter` | shares_weight * n_shares + (1 - shares_weight) * n_likes | shares_weight, min_age_days |
| `count` | log2(n + 1) of the count `column`, or n itself with scale "linear" | column, scale, min_age_days |
| `given` | popularity, as the origin ships it | |

| status | when | label |
|---|---|---|
| `ok` | | yes |
| `zero_views_as_one` | 0 views, whose logarithm does not exist, with zero_views "one": counted as 1 view | yes |
| `zero_views` | the same with zero_views "drop" | null |
| `missing_counts` | a count of the rule is unknown | null |
| `negative_counts` | a count of the rule is below 0 | null |
| `missing_times` | posted_at or collected_at is unknown, and the rule needs the age | null |
| `collected_before_posted` | the age is negative | null |
| `zero_age` | `flickr_views`: the age is 0, whatever min_age_days is | null |
| `collected_too_early` | the age is below min_age_days: the count has not settled | null |
| `missing_label` | `given`: the origin's label is absent | null |
| `label_not_finite` | `given`, `count`: it is NaN or infinite | null |

A row has a label exactly where its status is `ok` or `zero_views_as_one`. Where several hold, the status is the first
of: counts, times, views.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from popspark.posts.settings import LABEL_COLUMNS, LABEL_OPTIONS, label_options
from popspark.runtime.errors import DataError
from popspark.runtime.queries import load_sql
from popspark.storage.warehouse import count_by_status


def popularity_labels(posts: DataFrame, rule: str, **options: Any) -> DataFrame:
    """One row per post: post_id, label (double, null unless usable), status.

    rule and options: see `popspark.posts.settings.LABEL_OPTIONS`.

    Raises `ConfigError` for an unknown rule or option, or an option out of its range.
    """
    values = label_options(rule, options)
    return posts.sparkSession.sql(load_sql(__package__, f"labels_{rule}"), args=values, posts=posts)


def count_labels(posts: DataFrame) -> dict[str, dict[str, int]]:
    """By each rule with its defaults, and by the count of each column, the rows by status: `ok` first."""
    rules: dict[str, tuple[str, dict[str, Any]]] = {rule: (rule, {}) for rule in LABEL_OPTIONS if rule != "count"}
    rules |= {f"count of {column}": ("count", {"column": column}) for column in LABEL_COLUMNS if column != "popularity"}
    labels = [
        popularity_labels(posts, rule, **options).withColumn("rule", F.lit(name))
        for name, (rule, options) in rules.items()
    ]
    counted = reduce(DataFrame.unionByName, labels).groupBy("rule", "status").count().collect()
    found = sorted(counted, key=lambda row: (row["status"] != "ok", -row["count"], row["status"]))
    return {name: {row["status"]: row["count"] for row in found if row["rule"] == name} for name in rules}


def check_labels(posts: DataFrame, rule: str, **options: Any) -> None:
    """Raises `DataError` where no post has a label by the rule: it names what is missing, and the counts there are."""
    labels = popularity_labels(posts, rule, **options)
    if not labels.where("label IS NOT NULL").isEmpty():
        return
    inputs = (*LABEL_COLUMNS, "posted_at", "collected_at")
    n_known = posts.agg(*[F.count(name).alias(name) for name in inputs]).collect()[0].asDict()
    absent = [name for name, n in n_known.items() if n == 0]
    counts = [name for name in LABEL_COLUMNS if n_known[name]]
    statuses = ", ".join(f"{status} {n:,}" for status, n in count_by_status(labels).items()) or "there is no post"
    raise DataError(
        f"No post has a label by the rule {rule}.",
        where="label.rule",
        got=f"{statuses}; known of no post: {', '.join(absent) or 'none'}",
        fix=f"label.rule=count label.options.column={counts[0]}" if counts else "ingest posts with a count",
    )
