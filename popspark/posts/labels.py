"""Popularity labels: posts to (post_id, label, status), one row per post, by a rule with a name.

| rule | label | options |
|---|---|---|
| `flickr_views` | log2(n_views / days) + 1, days = collected_at - posted_at with fraction | min_age_days, zero_views |
| `twitter` | shares_weight * n_shares + (1 - shares_weight) * n_likes | shares_weight, min_age_days |
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
| `missing_label`, `label_not_finite` | `given`: the origin's label is absent, or NaN or infinite | null |

A row has a label exactly where its status is `ok` or `zero_views_as_one`. Where several hold, the status is the first
of: counts, times, views.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from popspark.posts.settings import label_options
from popspark.runtime.queries import load_sql


def popularity_labels(posts: DataFrame, rule: str, **options: Any) -> DataFrame:
    """One row per post: post_id, label (double, null unless usable), status.

    rule and options: see `popspark.posts.settings.LABEL_OPTIONS`.

    Raises `ConfigError` for an unknown rule or option, or an option out of its range.
    """
    values = label_options(rule, options)
    return posts.sparkSession.sql(load_sql(__package__, f"labels_{rule}"), args=values, posts=posts)
