"""One URL to one image, politely: with retries, limits while streaming, and no way into a private network.

| status | when |
|---|---|
| `ok` | an image arrived |
| `not_modified` | the server says that the copy at hand (ETag, Last-Modified) still holds |
| `bad_url` | not http or https, or no host |
| `robots_disallowed` | the host's robots.txt disallows it; nothing was asked for |
| `noai` | the answer says `X-Robots-Tag: noai` or `noimageai`; its body was not read |
| `refused_address` | the host, or one that it redirects to, resolves to an address that is not public |
| `unknown_host` | the name does not resolve |
| `timeout` | looking the name up, connecting, waiting for bytes, or the whole download took too long |
| `connection_failed` | refused, reset, cut short, or TLS failed |
| `too_many_redirects` | more than `max_redirects` |
| `http_404`, ... | the server's answer, after the retries where a retry can help |
| `too_large` | more bytes than `Limits.max_bytes`, announced or streamed |
| `empty`, `not_an_image`, `unsupported`, `corrupt`, `too_many_pixels`, `too_slow` | what `decode` says of them |

The address is checked where the connection is made, for every connection: a name that resolves anew, and each
redirect, pass the same check, and the connection goes to the very address that was checked. So do the requests for
robots.txt, one a host and task; each redirect is looked up in that of its own host. As RFC 9309 has it, a host without
one (any 4xx) allows all, and one that cannot say (no connection, 429, 5xx) nothing: its URLs get the status of that
failure.
A header line that is malformed hides those behind it, X-Robots-Tag too.
`obey_robots_txt=false` and `obey_noai=false` turn these two off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from protego import Protego
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from popspark.images import decode as codecs
from popspark.images.downloads.connecting import Budget, Connections, RefusedAddress
from popspark.images.downloads.robots import MAX_BYTES, agent_token, forbids_ai, read_rules
from popspark.images.limits import Limits
from popspark.images.settings import Politeness
from popspark.runtime.redaction import redact

RETRIED = (429, 500, 502, 503, 504)
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Download:
    """What became of a URL. content: of `ok` only. etag, last_modified: to ask with the next time."""

    status: str
    error: str | None = None
    content: bytes | None = None
    header: codecs.Header | None = None
    etag: str | None = None
    last_modified: str | None = None


Attempted = tuple[Download, float | None]
"""The outcome, and the least wait in seconds before a retry; None where a retry cannot help."""


class Downloader:
    """Keeps connections, rules, and for each host the time of its next request. One per task; not for threads.

    n_lanes: tasks that share each host, and so its requests per second.
    """

    def __init__(self, politeness: Politeness, limits: Limits, n_lanes: int = 1) -> None:
        self._politeness, self._limits, self._n_lanes = politeness, limits, n_lanes
        self._connections = Connections(politeness)
        self._agent = agent_token(politeness.user_agent)
        self._next_at: dict[str, float] = {}
        self._gap_s: dict[str, float] = {}
        self._rules: dict[str, Protego | Download] = {}

    def fetch(self, url: str, etag: str | None = None, last_modified: str | None = None) -> Download:
        """The image at `url`; never raises for what a server or a URL can do. Its `error` is without secrets."""
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        found = self._try(url, {k: v for k, v in conditions.items() if v}, self._receive_image, self._disallowed)
        return replace(found, error=redact(found.error)) if found.error else found

    def _try(
        self,
        url: str,
        conditions: dict[str, str],
        receive: Callable[[Any], Attempted],
        refuse: Callable[[str], Download | None],
    ) -> Download:
        """The last of the attempts. refuse: what speaks against a URL, first and after each redirect."""
        headers = {"User-Agent": self._politeness.user_agent, **conditions}
        for attempt in range(self._politeness.n_retries + 1):
            download, wait_s = self._attempt(url, headers, receive, refuse)
            if wait_s is None or attempt == self._politeness.n_retries:
                break
            time.sleep(min(max(wait_s, self._politeness.backoff_s * 2**attempt), self._politeness.max_wait_s))
        return download

    def _attempt(
        self,
        url: str,
        headers: dict[str, str],
        receive: Callable[[Any], Attempted],
        refuse: Callable[[str], Download | None],
    ) -> Attempted:
        budget = Budget(self._politeness.total_timeout_s)
        for _ in range(self._politeness.max_redirects + 1):
            try:
                target = urlsplit(url)
                # Of a backslash before an @, what is the host is read in two ways.
                if target.scheme not in ("http", "https") or not target.hostname or "\\" in target.netloc:
                    return Download("bad_url", f"not an http address: {url[:200]}"), None
                if refusal := refuse(url):
                    return refusal, None
                self._wait_for(target.hostname)
                self._connections.budget = budget  # after `refuse`, whose own requests have their own
                with budget.running():
                    response = self._connections.get(url, headers)
                    try:
                        if response.status in REDIRECTS and response.headers.get("Location"):
                            url = urljoin(url, response.headers["Location"])
                            continue
                        attempted = receive(response)
                    finally:
                        response.close()
                if not budget.is_spent:  # else it was the end of time, and not of the file
                    return attempted
            except (HTTPError, OSError, ValueError) as error:
                if not budget.is_spent:
                    return _explain(error)
            if budget.is_spent:
                return Download("timeout", f"not done after {self._politeness.total_timeout_s:g} s"), 0.0
        return Download("too_many_redirects", f"more than {self._politeness.max_redirects}, last to {url[:200]}"), None

    def _wait_for(self, host: str) -> None:
        now = time.monotonic()
        at = max(now, self._next_at.get(host, now))
        gap_s = max(1 / self._politeness.requests_per_second, self._gap_s.get(host, 0))
        self._next_at[host] = at + gap_s * self._n_lanes
        time.sleep(at - now)

    def _disallowed(self, url: str) -> Download | None:
        """Why robots.txt forbids the URL, or cannot be had; None where it may be asked for."""
        if not self._politeness.obey_robots_txt:
            return None
        target = urlsplit(url)
        site = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
        if site not in self._rules:
            self._rules[site] = self._read_rules(site)
        rules = self._rules[site]
        if isinstance(rules, Download):
            return rules
        if (delay_s := rules.crawl_delay(self._agent)) and delay_s > 0:
            self._gap_s[str(target.hostname)] = min(delay_s, self._politeness.max_wait_s)
        if rules.can_fetch(url, self._agent):
            return None
        return Download("robots_disallowed", f"{site}/robots.txt disallows it for {self._agent}")

    def _read_rules(self, site: str) -> Protego | Download:
        found = self._try(f"{site}/robots.txt", {}, self._receive_rules, lambda url: None)
        fails = ("timeout", "connection_failed", "unknown_host", "refused_address")
        if found.status in fails or found.status.startswith(("http_5", "http_429")):
            return replace(found, error=f"{found.error}; while asking for {site}/robots.txt")
        return read_rules(found.content or b"")

    def _receive_rules(self, response: Any) -> Attempted:
        if response.status != 200:
            return self._refused(response)
        return Download("ok", content=_read(response, MAX_BYTES)), None

    def _receive_image(self, response: Any) -> Attempted:
        tags = response.headers.getlist("X-Robots-Tag")
        if self._politeness.obey_noai and response.status in (200, 304) and forbids_ai(tags, self._agent):
            return Download("noai", f"X-Robots-Tag: {', '.join(tags)[:200]}"), None
        if response.status == 304:
            return Download("not_modified"), None
        if response.status != 200:
            return self._refused(response)
        limit = self._limits.max_bytes
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced[:20]) > limit:
            return Download("too_large", f"{announced} bytes announced; the limit is {limit}"), None
        content = _read(response, limit)
        if len(content) > limit:
            return Download("too_large", f"more than {limit} bytes"), None
        found = {"etag": response.headers.get("ETag"), "last_modified": response.headers.get("Last-Modified")}
        try:
            header = codecs.read_header(content, self._limits)
        except codecs.ImageRefused as refusal:
            return Download(refusal.status, str(refusal), **found), None
        return Download("ok", None, content, header, **found), None

    def _refused(self, response: Any) -> Attempted:
        wait_s = _retry_after(response.headers.get("Retry-After")) if response.status in RETRIED else None
        return Download(f"http_{response.status}", response.reason), wait_s


def _read(response: Any, limit: int) -> bytes:
    """The body, or as much of it as is seen to be more than `limit` bytes."""
    content = bytearray()
    while len(content) <= limit and (chunk := response.read1(CHUNK_BYTES)):  # stream() waits for whole chunks
        content += chunk
    return bytes(content)


def _retry_after(value: str | None) -> float:
    """Seconds from now, of a number of seconds or a date; 0 for anything else."""
    try:
        return float(urllib3.Retry().parse_retry_after(value)) if value else 0.0
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


def _explain(error: Exception) -> Attempted:
    message = f"{type(error).__name__}: {error}"[:200]
    if isinstance(error, RefusedAddress):
        return Download("refused_address", str(error)), None
    if isinstance(error, LocationValueError) or not isinstance(error, HTTPError | OSError):
        return Download("bad_url", message), None
    if isinstance(error, NameResolutionError):
        return Download("unknown_host", message), 0.0
    if isinstance(error, NewConnectionError):  # before the time-outs, of which urllib3 makes it one
        return Download("connection_failed", message), 0.0
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return Download("timeout", message), 0.0
    return Download("connection_failed", message), 0.0
