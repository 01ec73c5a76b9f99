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

from popspark.runtime.errors import ConfigError, closest
from popspark.runtime.queries import load_sql

RULES: dict[str, dict[str, Any]] = {
    # A rate over less than a day is mostly noise; zero views are kept, since dropping them would cut off the low end.
    "flickr_views": {"min_age_days": 1.0, "zero_views": "one"},
    # A sum of counts needs no age, and pages of the X API do not tell when they were collected.
    "twitter": {"shares_weight": 0.7, "min_age_days": 0.0},
    "given": {},
}
"""Each rule's options and their defaults."""

ZERO_VIEWS = ("one", "drop")


def _check(rule: str, options: dict[str, Any]) -> dict[str, Any]:
    if rule not in RULES:
        raise ConfigError(
            "Unknown label rule.",
            where="rule",
            got=repr(rule),
            legal=", ".join(RULES),
            fix=closest(rule, RULES) or None,
        )
    unknown = [name for name in options if name not in RULES[rule]]
    if unknown:
        raise ConfigError(
            f"The label rule {rule} does not have this option.",
            where="label options",
            got=", ".join(unknown),
            legal=", ".join(RULES[rule]) or "none",
        )
    values = {**RULES[rule], **options}
    legal = {
        "min_age_days": (lambda v: _is_number(v) and v >= 0, "a number of days, 0 or more"),
        "shares_weight": (lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1; published: 0.6, 0.7, 0.8"),
        "zero_views": (lambda v: v in ZERO_VIEWS, " or ".join(ZERO_VIEWS)),
    }
    for name, value in values.items():
        is_legal, range_ = legal[name]
        if not is_legal(value):
            raise ConfigError(f"Illegal {name}.", where=f"label rule {rule}", got=repr(value), legal=range_)
    return {name: float(value) if _is_number(value) else value for name, value in values.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def popularity_labels(posts: DataFrame, rule: str, **options: Any) -> DataFrame:
    """One row per post: post_id, label (double, null unless usable), status. rule and options: see `RULES`.

    Raises `ConfigError` for an unknown rule or option, or an option out of its range.
    """
    values = _check(rule, options)
    return posts.sparkSession.sql(load_sql(__package__, f"labels_{rule}"), args=values, posts=posts)
