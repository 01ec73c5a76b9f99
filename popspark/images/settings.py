"""The settings of downloads. Imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from popspark.runtime.config import Section


class Politeness(Section):
    """How to ask servers for images."""

    requests_per_second: float = Field(5, gt=0)
    """Requests to each host, over the whole cluster; fewer where its robots.txt asks for a Crawl-delay."""
    timeout_s: float = Field(10, gt=0)
    """Seconds to look a name up, to connect, and between bytes."""
    total_timeout_s: float = Field(60, gt=0)
    """Seconds of one attempt with its names, connections, headers, informational answers and redirects."""
    n_retries: int = Field(3, ge=0)
    """Tries after the first one, where a retry can help."""
    backoff_s: float = Field(0.5, ge=0)
    """Seconds before the first retry, doubled each time, unless Retry-After (seconds, or a date) asks for more."""
    max_wait_s: float = Field(30, ge=0)
    """Seconds before a request at most, whatever Retry-After or Crawl-delay says."""
    max_redirects: int = Field(5, ge=0)
    """Redirects followed before a URL is given up."""
    allow_private: bool = False
    """Whether to connect to addresses that are not public, such as those of one's own network."""
    obey_robots_txt: bool = True
    """Whether to leave out what a host's robots.txt disallows (status robots_disallowed)."""
    obey_noai: bool = True
    """Whether to leave out what is sent with X-Robots-Tag: noai or noimageai (status noai)."""
    user_agent: str = "popspark"
    """What the requests call themselves, and the name that robots.txt is read for."""
