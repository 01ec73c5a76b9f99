"""What sites say to robots: the rules of robots.txt (RFC 9309, read by protego) and the header X-Robots-Tag."""

from __future__ import annotations

import re
from collections.abc import Iterable

from protego import Protego

MAX_BYTES = 500 << 10
"""Of a robots.txt that are read: RFC 9309, section 2.5, asks for no more."""
NO_AI = ("noai", "noimageai")
AGENT = re.compile(r"\*|[a-z][a-z_-]*")


def agent_token(user_agent: str) -> str:
    """The name that rules are looked up by: `popspark` of `popspark/0.1 (+https://example.org)`; `*` of none."""
    return (re.findall(r"^\s*([A-Za-z_-]+)", user_agent) or ["*"])[0]


def read_rules(content: bytes) -> Protego:
    """The rules of a robots.txt; whatever is no rule in it counts for nothing."""
    return Protego.parse(content[:MAX_BYTES].decode("utf-8-sig", errors="replace"))


def forbids_ai(headers: Iterable[str], agent: str) -> bool:
    """Whether values of X-Robots-Tag hold `noai` or `noimageai`, for everybody or for this agent.

    A value is `noai, noindex`, or `somebot: noai, otherbot: noindex`, where a name counts up to the next one.
    """
    for header in headers:
        named = "*"
        for rule in header.lower().split(","):
            name, colon, rest = (text.strip() for text in rule.partition(":"))
            if colon and AGENT.fullmatch(name):  # or it is a directive with a value, and ends in no word of ours
                named, name = name, rest
            if name in NO_AI and named in ("*", agent.lower()):
                return True
    return False
