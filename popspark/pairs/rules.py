"""The rules that make pairs, by their names, and the two published sets of them.

`twitter` (Agrawal, Khan and Mohan, section V) and `ding` (Ding, Ma and Wang 2019, section 3) are the presets. What the
papers leave open is decided here:

| open point | decision |
|---|---|
| ten days | exactly ten days are within |
| twitter: "about a third" under the stricter rule | a hash of both ids and the seed draws `strict_share` of the |
| | candidates; of those only the ones that satisfy it stay, and their rule is `twitter_strict` |
| twitter: a probability | as in ding, with S = ln(1 + popularity), since its popularity may be 0; no threshold |
| ding: the base of the logarithm | natural |
| ding: "in at most one pair" | see `pairing.match_pairs`; of several posts of one image the earliest counts |
| ties in popularity | say nothing about the pictures: removed, `different_popularity` |
| one image in both posts | says nothing either: removed, `different_images` |
| captions in words | whatever whitespace separates; for ding without those that start with # or @ |
| unknown values (NULL) | a post whose rule cannot be checked is removed, under a name of its own (`caption_known`) |
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from popspark.runtime.config import Section

DAY_US = 86_400_000_000

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


class PairRules(Section):
    """One set of rules. A post has popularity p = shares_weight * n_shares + likes_weight * n_likes, and
    S = log(p + log_offset); the first of a pair is better with probability Phi(margin / (sqrt(2) sigma)), where the
    margin is the difference of S.

    hashtags: `shared` (one in common), `identical` (all of them), `any`; mentions: `identical` or `any`.
    max_caption_words, max_word_difference: null for no limit. count_tag_words: whether words with # or @ count.
    one_image: n_media is 1. min_age_days: from posting to collection. min_likes, min_age_days: 0 for no limit.
    strict_share: of pairs that must also differ in shares and have one above strict_min_shares.
    min_probability: T of Ding et al.; 0.5 for none.
    each_image_once: an image stands in one pair at most.
    max_candidates_per_user: bounds the work, see thinned_posts.sql; null for no bound, which saves looking for busy
    users. max_pairs_per_user: those with the smallest hash; null for all of them, which saves a sort of all pairs.
    seed: of all draws, the split's among them. train_share, valid_share: of the users; the rest is test.
    """

    shares_weight: NonNegativeFloat
    likes_weight: NonNegativeFloat
    log_base: Literal["e"] | float = "e"
    log_offset: NonNegativeFloat
    max_days: PositiveFloat = 10
    hashtags: Literal["shared", "identical", "any"]
    mentions: Literal["identical", "any"]
    max_caption_words: NonNegativeInt | None
    max_word_difference: NonNegativeInt | None
    count_tag_words: bool
    one_image: bool
    min_likes: NonNegativeInt
    min_age_days: NonNegativeFloat
    different_images: bool = True
    different_popularity: bool = True
    strict_share: float = Field(ge=0, le=1)
    strict_min_shares: NonNegativeInt = 20
    sigma: PositiveFloat = 0.3
    min_probability: float = Field(ge=0.5, lt=1)
    each_image_once: bool
    max_candidates_per_user: PositiveInt | None = 100_000_000
    max_pairs_per_user: PositiveInt | None = 100_000
    seed: int = 0
    train_share: float = Field(0.6, ge=0, le=1)
    valid_share: float = Field(0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shares_weight + self.likes_weight == 0:
            raise ValueError("shares_weight and likes_weight must not both be 0")
        if self.log_base != "e" and self.log_base <= 1:
            raise ValueError("log_base must be e or a number above 1")
        if self.train_share + self.valid_share > 1:
            raise ValueError("train_share and valid_share must sum to 1 at most")
        return self

    @property
    def sql_args(self) -> dict[str, Any]:
        """The parameters of the SQL by name."""
        kept_as_they_are = self.model_dump(exclude={"log_base", "max_days", "min_age_days", "min_probability"})
        return {
            **kept_as_they_are,
            "log_base": math.e if self.log_base == "e" else self.log_base,
            "max_us": round(self.max_days * DAY_US),
            "min_age_us": round(self.min_age_days * DAY_US),
            "min_margin": NormalDist().inv_cdf(self.min_probability) * math.sqrt(2) * self.sigma,
            "train_until": self.train_share,
            "valid_until": self.train_share + self.valid_share,
        }


PRESETS: dict[str, dict[str, Any]] = {
    "twitter": {
        "shares_weight": 0.7,
        "likes_weight": 0.3,
        "log_offset": 1,
        "hashtags": "shared",
        "mentions": "any",
        "max_caption_words": None,
        "max_word_difference": 5,
        "count_tag_words": True,
        "one_image": False,
        "min_likes": 0,
        "min_age_days": 0,
        "strict_share": 1 / 3,
        "min_probability": 0.5,
        "each_image_once": False,
    },
    "ding": {
        "shares_weight": 0,
        "likes_weight": 1,
        "log_offset": 0,
        "hashtags": "identical",
        "mentions": "identical",
        "max_caption_words": 6,
        "max_word_difference": None,
        "count_tag_words": False,
        "one_image": True,
        "min_likes": 50,
        "min_age_days": 30,
        "strict_share": 0,
        "min_probability": 0.95,
        "each_image_once": True,
    },
}
"""What the papers state, by preset; what `PairRules` has a default for is common to both."""


def preset_rules(preset: Literal["twitter", "ding"], **overrides: Any) -> PairRules:
    """The rules of a preset, some of them replaced."""
    return PairRules.model_validate({**PRESETS[preset], **overrides})
