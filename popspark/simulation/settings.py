"""What to simulate: sizes, and how much each effect counts. Imports nothing heavy."""

from __future__ import annotations

import math
from datetime import date

from pydantic import Field, NonNegativeFloat, PositiveInt

from popspark.runtime.config import Section

BURST_DAYS = 9
"""Length of a burst of a user's posts, in days, so that pairs of one user within ten days exist."""


class EffectWeights(Section):
    """The weight of each effect in the score; any may be 0, not all."""

    user: NonNegativeFloat = 0.6
    """Weight of who posts."""
    hashtags: NonNegativeFloat = 0.3
    """Weight of the post's hashtags."""
    time: NonNegativeFloat = 0.3
    """Weight of the quarter of the day, the weekday and the month."""
    image: NonNegativeFloat = 0.6
    """Weight of the image: its brightness, saturation and contrast."""
    noise: NonNegativeFloat = 0.4
    """Weight of what nothing explains."""

    @property
    def norm(self) -> float:
        """Root of the summed squares."""
        return math.sqrt(sum(value**2 for value in self.model_dump().values()))


class Simulation(Section):
    """Sizes and effects of simulated posts; the defaults give the posts of sample/."""

    seed: int = 20
    """Seed of all draws: the same settings give the same posts."""
    n_posts: PositiveInt = 360
    """Posts to make."""
    n_users: PositiveInt = 40
    """Users that post."""
    user_skew: float = Field(0.4, ge=0, lt=1)
    """Exponent of the power law of posts per user; 0 is even."""
    n_hashtags: PositiveInt = 60
    """Hashtags in use."""
    hashtag_skew: float = Field(0.6, ge=0, lt=1)
    """Exponent of the power law of uses per hashtag; 0 is even."""
    starts_on: date = date(2024, 1, 1)
    """First day of posting (UTC)."""
    n_days: int = Field(731, ge=BURST_DAYS + 1)
    """Days of posting. All posts are collected when they end, so that the last ones are fresh."""
    share_without_image: float = Field(0.01, ge=0, le=1)
    """Share of posts that name no image."""
    n_with_missing_image: int = Field(1, ge=0)
    """Posts that name an image that does not exist."""
    weights: EffectWeights = EffectWeights()
    """Weights of the effects in the score."""
