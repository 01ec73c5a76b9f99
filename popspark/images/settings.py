"""The settings of downloads. Imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from popspark.runtime.config import Section


class Politeness(Section):
    """How to ask servers for images."""

    requests_per_second: float = Field(5, gt=0)
    """Of each host, over the whole cluster."""
    timeout_s: float = Field(10, gt=0)
    """Seconds to connect, and between bytes."""
    total_timeout_s: float = Field(60, gt=0)
    """Seconds of one attempt, so that a trickle ends too."""
    n_retries: int = Field(3, ge=0)
    """After the first try, where a retry can help."""
    backoff_s: float = Field(0.5, ge=0)
    """Seconds before the first retry, doubled for each one after, unless Retry-After asks for more."""
    max_wait_s: float = Field(30, ge=0)
    """Seconds before a retry at most, whatever Retry-After says."""
    max_redirects: int = Field(5, ge=0)
    """Redirects followed before a URL is given up."""
    allow_private: bool = False
    """Whether to connect to addresses that are not public, such as those of one's own network."""
    user_agent: str = "popspark"
    """What the requests call themselves."""
