"""One URL to one image, politely: urllib3 with retries, limits while streaming, and no way into a private network.

| status | when |
|---|---|
| `ok` | an image arrived |
| `not_modified` | the server says that the copy at hand (ETag, Last-Modified) still holds |
| `bad_url` | not http or https, or no host |
| `refused_address` | the host, or one that it redirects to, resolves to an address that is not public |
| `unknown_host` | the name does not resolve |
| `timeout` | connecting, or waiting for bytes, or the whole download took too long |
| `connection_failed` | refused, reset, cut short, or TLS failed |
| `too_many_redirects` | more than `max_redirects` |
| `http_404`, ... | the server's answer, after the retries where a retry can help |
| `too_large` | more bytes than `Limits.max_bytes`, announced or streamed |
| `empty`, `not_an_image`, `corrupt`, `too_many_pixels` | what `popspark.images.decode` says of the bytes |

The address is checked where the connection is made, for every connection: a name that resolves anew, and each redirect,
pass the same check, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from popspark.images import decode as codecs
from popspark.images.limits import Limits
from popspark.images.settings import Politeness

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


class RefusedAddress(HTTPError):  # noqa: N818  # it becomes a status
    """Raised while connecting, where the host has no public address."""


def _public_addresses(host: str, port: int) -> list[str]:
    """The addresses of the host; raises `RefusedAddress` if any of them is not public."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        ip = ipaddress.ip_address(address.split("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None)
        if not (mapped or ip).is_global or ip.is_multicast:
            raise RefusedAddress(f"{host} is {address}, which is not a public address")
    return found


class _CheckedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _CheckedHttpsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


def _connect(connection: HTTPConnection) -> socket.socket:
    try:
        address = _public_addresses(connection._dns_host, connection.port or 80)[0]
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    try:
        return socket.create_connection((address, connection.port or 80), connection.timeout)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"connecting to {connection.host} timed out") from error
    except OSError as error:
        raise NewConnectionError(connection, str(error)) from error


class _CheckedPool(HTTPConnectionPool):
    ConnectionCls = _CheckedConnection


class _CheckedHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedHttpsConnection


class Downloader:
    """Keeps the connections and, for each host, the time of its last request. One per task; not for threads."""

    def __init__(self, politeness: Politeness, limits: Limits) -> None:
        self._politeness, self._limits = politeness, limits
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=politeness.timeout_s, read=politeness.timeout_s), retries=False
        )
        if not politeness.allow_private:
            self._pool.pool_classes_by_scheme = {"http": _CheckedPool, "https": _CheckedHttpsPool}
        self._next_at: dict[str, float] = {}

    def fetch(self, url: str, etag: str | None = None, last_modified: str | None = None) -> Download:
        """The image at `url`; never raises for what a server or a URL can do."""
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        headers = {"User-Agent": self._politeness.user_agent, **{k: v for k, v in conditions.items() if v}}
        for attempt in range(self._politeness.n_retries + 1):
            download, wait_s = self._attempt(url, headers)
            if wait_s is None or attempt == self._politeness.n_retries:
                break
            time.sleep(min(max(wait_s, self._politeness.backoff_s * 2**attempt), self._politeness.max_wait_s))
        return download

    def _attempt(self, url: str, headers: Mapping[str, str]) -> tuple[Download, float | None]:
        """The outcome, and the least wait before a retry; None where a retry cannot help."""
        deadline = time.monotonic() + self._politeness.total_timeout_s
        for _ in range(self._politeness.max_redirects + 1):
            try:
                target = urlsplit(url)
                if target.scheme not in ("http", "https") or not target.hostname:
                    return Download("bad_url", f"not an http address: {url[:200]}"), None
                self._wait_for(target.hostname)
                response = self._pool.request("GET", url, headers=headers, preload_content=False, redirect=False)
                try:
                    if response.status in REDIRECTS and response.headers.get("Location"):
                        url = urljoin(url, response.headers["Location"])
                        continue
                    return self._receive(response, deadline)
                finally:
                    response.close()
            except (HTTPError, OSError, ValueError) as error:
                return _explain(error)
        return Download("too_many_redirects", f"more than {self._politeness.max_redirects}, last to {url[:200]}"), None

    def _wait_for(self, host: str) -> None:
        now = time.monotonic()
        at = max(now, self._next_at.get(host, now))
        self._next_at[host] = at + 1 / self._politeness.requests_per_second
        time.sleep(at - now)

    def _receive(self, response: Any, deadline: float) -> tuple[Download, float | None]:
        if response.status == 304:
            return Download("not_modified"), None
        if response.status != 200:
            wait = response.headers.get("Retry-After", "0")
            wait_s = float(wait) if wait.isdigit() else 0.0
            return Download(f"http_{response.status}", response.reason), wait_s if response.status in RETRIED else None
        limit = self._limits.max_bytes
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > limit:
            return Download("too_large", f"{announced} bytes announced; the limit is {limit}"), None
        content = bytearray()
        while chunk := response.read1(CHUNK_BYTES):  # stream() waits for whole chunks, and so for a trickle
            content += chunk
            if len(content) > limit:
                return Download("too_large", f"more than {limit} bytes"), None
            if time.monotonic() > deadline:
                return Download("timeout", f"not done after {self._politeness.total_timeout_s:g} s"), 0.0
        found = {"etag": response.headers.get("ETag"), "last_modified": response.headers.get("Last-Modified")}
        try:
            header = codecs.read_header(bytes(content), self._limits)
        except codecs.ImageRefused as refusal:
            return Download(refusal.status, str(refusal), **found), None
        return Download("ok", None, bytes(content), header, **found), None


def _explain(error: Exception) -> tuple[Download, float | None]:
    reason = getattr(error, "reason", None) if isinstance(error, MaxRetryError) else None
    cause = reason or error
    message = f"{type(cause).__name__}: {cause}"[:200]
    if isinstance(cause, RefusedAddress):
        return Download("refused_address", str(cause)), None
    if isinstance(cause, NameResolutionError):
        return Download("unknown_host", message), 0.0
    if isinstance(cause, NewConnectionError):  # before the time-outs, of which urllib3 makes it one
        return Download("connection_failed", message), 0.0
    if isinstance(cause, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return Download("timeout", message), 0.0
    if isinstance(cause, ValueError) and not isinstance(cause, HTTPError | OSError):
        return Download("bad_url", message), None
    return Download("connection_failed", message), 0.0
