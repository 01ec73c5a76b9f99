"""Settings of scoring. Nothing heavy is imported here: the command line reads them for its help."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from popspark.runtime.config import Section


class Update(Section):
    """Which scores to compute, and when to stop."""

    mode: Literal["incremental", "full"] = "incremental"
    """`incremental` takes the posts whose row is not there, or was made from other input; `full` takes all."""
    posted_from: date | None = None
    """First day (UTC) of a backfill, which takes only posts of its days and removes nothing; null for no bound."""
    posted_to: date | None = None
    """Last day (UTC) of a backfill, included; null for no bound."""
    max_refused_share: float | None = Field(default=None, ge=0, le=1)
    """Share, 0 to 1, of the posts taken that may be refused; where more are, nothing is published. null: any."""

    @model_validator(mode="after")
    def _days_in_order(self) -> Update:
        if self.posted_from and self.posted_to and self.posted_from > self.posted_to:
            raise ValueError(f"posted_from {self.posted_from} comes after posted_to {self.posted_to}")
        return self
