"""The settings of labels, splits and social values, with their closed lists of names. Imports nothing heavy."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from popspark.runtime.config import Section
from popspark.runtime.errors import ConfigError, unknown

SocialMode = Literal["paper", "point_in_time"]
"""What the social values of a post may know: all of the user's posts, as published, or only what was there before."""

LabelRule = Literal["flickr_views", "twitter", "count", "given"]
"""How popularity is made of counts: see `popspark.posts.labels`."""

SplitStrategy = Literal["random", "chronological", "by_user"]
"""What decides a post's split: see `popspark.posts.splits`."""

SplitGroup = Literal["sha256"]
"""What may hold posts together in one split: the file of their image."""

LABEL_OPTIONS: dict[str, dict[str, Any]] = {
    # A rate over less than a day is mostly noise; zero views are kept, since dropping them would cut off the low end.
    "flickr_views": {"min_age_days": 1.0, "zero_views": "one"},
    # A sum of counts needs no age, and pages of the X API do not tell when they were collected.
    "twitter": {"shares_weight": 0.7, "min_age_days": 0.0},
    "count": {"column": "n_likes", "scale": "log2", "min_age_days": 0.0},
    "given": {},
}
"""Each rule's options and their defaults."""

ZERO_VIEWS = ("one", "drop")
SCALES = ("log2", "linear")
LABEL_COLUMNS = ("n_views", "n_likes", "n_shares", "n_comments", "popularity")
"""Numbers of a post, any of which can be its label."""


def label_options(rule: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of a rule by name, those not given by default.

    Raises `ConfigError` for an unknown rule or option, or an option out of its range.
    """
    if rule not in LABEL_OPTIONS:
        raise unknown("label rule", rule, LABEL_OPTIONS, where="rule")
    foreign = [name for name in options if name not in LABEL_OPTIONS[rule]]
    if foreign:
        raise ConfigError(
            f"The label rule {rule} does not have this option.",
            where="label options",
            got=", ".join(foreign),
            legal=", ".join(LABEL_OPTIONS[rule]) or "none",
        )
    values = {**LABEL_OPTIONS[rule], **options}
    legal = {
        "min_age_days": (lambda v: _is_number(v) and v >= 0, "a number of days, 0 or more"),
        "shares_weight": (lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1; published: 0.6, 0.7, 0.8"),
        "column": (lambda v: v in LABEL_COLUMNS, ", ".join(LABEL_COLUMNS)),
        "scale": (lambda v: v in SCALES, " or ".join(SCALES)),
        "zero_views": (lambda v: v in ZERO_VIEWS, " or ".join(ZERO_VIEWS)),
    }
    for name, value in values.items():
        is_legal, range_ = legal[name]
        if not is_legal(value):
            raise ConfigError(f"Illegal {name}.", where=f"label rule {rule}", got=repr(value), legal=range_)
    return {name: float(value) if _is_number(value) else value for name, value in values.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


class LabelSettings(Section):
    """How posts get their popularity labels."""

    rule: LabelRule = "flickr_views"
    """The formula: `flickr_views` for log2(views / day) + 1, `twitter` for a weighted sum of shares and likes, `count`
    for any one count, `given` for the label that the origin ships."""
    options: dict[str, Any] = {}
    """Options of that rule: `min_age_days` (days, 0 or more), `zero_views` (one or drop), `shares_weight` (0 to 1),
    `column` (n_likes, n_views, n_shares, n_comments, popularity), `scale` (log2 or linear)."""

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        label_options(self.rule, self.options)
        return self


class SplitSettings(Section):
    """How posts are assigned to train, valid and test."""

    strategy: SplitStrategy = "random"
    """`random` draws by post, `chronological` trains on the earliest and tests on the latest, `by_user` keeps all posts
    of a user together."""
    seed: int = 0
    """Seed of the draws by hash."""
    group_by: SplitGroup | None = "sha256"
    """`sha256` keeps all posts of one image in one split; null does not, and ends with an error where that leaks."""
