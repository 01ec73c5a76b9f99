"""The rules that make pairs, by their names; the two published sets of them; and how many pairs become examples.

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
| ties in popularity | say nothing about the images: removed, `different_popularity` |
| one image in both posts | says nothing either: removed, `different_images` |
| captions in words | whatever whitespace separates; for ding without those that start with # or @ |
| unknown values (NULL) | a post whose rule cannot be checked is removed, under a name of its own (`caption_known`) |

Imports nothing heavy.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from popspark.runtime.config import Section

DAY_US = 86_400_000_000

PairPreset = Literal["twitter", "ding"]
"""The published sets of rules."""


class PairRules(Section):
    """One set of rules, by default those of `twitter`.

    A post has popularity p = shares_weight * n_shares + likes_weight * n_likes, and S = log(p + log_offset); the first
    of a pair is better with probability Phi(margin / (sqrt(2) sigma)), where the margin is the difference of S.
    """

    shares_weight: NonNegativeFloat = 0.7
    """Weight of a share in the popularity."""
    likes_weight: NonNegativeFloat = 0.3
    """Weight of a like in the popularity."""
    log_base: Literal["e"] | float = "e"
    """Base of the logarithm of the popularity: e or a number above 1."""
    log_offset: NonNegativeFloat = 1
    """Added to the popularity before its logarithm; with 0, a post of popularity 0 is removed."""
    max_days: PositiveFloat = 10
    """Days between the two posts at most."""
    hashtags: Literal["shared", "identical", "any"] = "shared"
    """`shared`: one in common; `identical`: all of them; `any`: no rule."""
    mentions: Literal["identical", "any"] = "any"
    """`identical`: the same in both posts; `any`: no rule."""
    max_caption_words: NonNegativeInt | None = None
    """Words of each caption at most; null for no limit."""
    max_word_difference: NonNegativeInt | None = 5
    """Words by which the captions differ in length at most; null for no limit."""
    count_tag_words: bool = True
    """Whether words that start with # or @ count as words of a caption."""
    one_image: bool = False
    """Whether both posts must have one medium and no more."""
    min_likes: NonNegativeInt = 0
    """Likes of each post at least; 0 for no limit."""
    min_age_days: NonNegativeFloat = 0
    """Days from posting to collection at least; 0 for no limit."""
    different_images: bool = True
    """Whether the two posts must name different images."""
    different_popularity: bool = True
    """Whether ties are removed."""
    strict_share: float = Field(1 / 3, ge=0, le=1)
    """Share of the pairs that must also differ in shares and have one post above `strict_min_shares`."""
    strict_min_shares: NonNegativeInt = 20
    """Shares that one post of such a pair has more than."""
    sigma: PositiveFloat = 0.3
    """Spread of S, in its units, between images of one quality."""
    min_probability: float = Field(0.5, ge=0.5, lt=1)
    """T of Ding et al.: how sure the better one must be; 0.5 for any."""
    each_image_once: bool = False
    """Whether an image stands in one pair at most."""
    max_candidates_per_user: PositiveInt | None = 100_000_000
    """Bounds the work, see thinned_posts.sql; null for no bound, which saves looking for busy users."""
    max_pairs_per_user: PositiveInt | None = 100_000
    """Pairs that a user has at most, those with the smallest hash; null for all, which saves a sort of all pairs."""
    seed: int = 0
    """Seed of all draws, the split's among them."""
    train_share: float = Field(0.6, ge=0, le=1)
    """Share of the users whose pairs train."""
    valid_share: float = Field(0.2, ge=0, le=1)
    """Share of the users whose pairs validate; the rest tests."""

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


PRESETS: dict[PairPreset, dict[str, Any]] = {
    "twitter": {},
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
"""What differs from the defaults of `PairRules`, by preset."""


def preset_rules(preset: PairPreset, **overrides: Any) -> PairRules:
    """The rules of a preset, some of them replaced."""
    return PairRules.model_validate({**PRESETS[preset], **overrides})


class PairLimits(Section):
    """Pairs that each split keeps, about. A pair takes some 40 kB."""

    train: PositiveInt = 50_000
    """Pairs to fit on."""
    valid: PositiveInt = 5_000
    """Pairs to stop by."""
    test: PositiveInt = 5_000
    """Pairs to measure on."""
