"""Downloads from a server that misbehaves at random: an image or a status in bounded time, nothing else.

Every answer follows from a seed. A seed that showed a fault is kept in `KEPT`.
"""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from popspark.images.decode import STATUSES, sha256
from popspark.images.downloads.fetching import _build_fetcher
from popspark.images.limits import Limits
from popspark.images.references import read_uri
from popspark.images.settings import Politeness
from tests.fuzzing import SECONDS, try_for_long
from tests.misbehaving import png

KEPT: tuple[int, ...] = ()
LEGAL = re.compile(
    "ok|not_modified|bad_url|robots_disallowed|noai|refused_address|unknown_host|timeout|connection_failed|"
    rf"too_many_redirects|http_\d{{3}}|too_large|{'|'.join(STATUSES)}"
)
LIMITS = Limits(max_bytes=50_000)
Rng = np.random.Generator

STATUS_LINES = (b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 304 Not Modified") * 4 + (
    b"HTTP/1.1 302 Found",
    b"HTTP/1.1 307 Temporary",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 206 Partial",
    b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 429 Slow down",
    b"HTTP/1.1 503 \xff\xfe",
    b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 000 None",
    b"HTTP/1.1 999999 Much",
    b"HTTP/9.9 200 OK",
    b"ICY 200 OK",
    b"",
    b"\x00\xff\x16\x03\x01",
)
INFORMATIONAL = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
HEADERS = (
    b"Content-Length: %d",
    b"Content-Length: %d",
    b"Content-Length: -5",
    b"Content-Length: 5\r\nContent-Length: 7",
    b"Content-Length: " + b"9" * 5000,
    "Content-Length: ²".encode("latin-1"),
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: " + b"gzip, " * 30,
    b"Content-Encoding: zstd, br, deflate",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Retry-After: 0",
    b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT",
    b"Retry-After: \xff",
    b"X-Robots-Tag: noindex",
    b"X-Robots-Tag: ,,:,noai:,",
    b"X-Robots-Tag: noai",
    b'ETag: "\xe9\xff"',
    b"ETag: a\tb",
    b"no colon here",
    b": no name",
    b" folded",
    b"X: " + b"x" * 70_000,
    b"\r\n".join([b"Y: y"] * 150),
)
LOCATIONS = (
    b"/again",
    b"?",
    b"//",
    b"http://",
    b"http://[::1",
    b"http://127.0.0.1:99999999/",
    b"http://\xff\xfe/",
    b"http://xn--\x00/",
    "http://bücher..example/".encode(),
    b"http://a" + b".a" * 5000,
    b"ftp://example.org/",
    b"javascript:alert(1)",
    b"\r\nX: y",
    b"/%zz%00",
)
BAD_URLS = (
    "",
    "http://",
    "http://[",
    "http://[::1]:port/",
    "http://a b/",
    "http://\0/",
    "http://\ud83d/",
    "http://xn--a/",
    "ftp://example.org/a.jpg",
    "file:///etc/hostname",
    "http://" + "a" * 70 + "/",
    "http://0x7f.1:1/",
    "http://127.0.0.1:0/",
    "http://user:password@127.0.0.1:1/#?",
    "HTTP://LOCALHOST:1/%zz",
)
RULES = (
    b"User-agent: *\nDisallow:\n",
    b"User-agent: *\nCrawl-delay: nan\n",
    b"User-agent: *\nCrawl-delay: 1e999\n",
    b"User-agent: *\nCrawl-delay: -1\nRequest-rate: 0/0\nVisit-time: 9999-1\n",
    b"\xef\xbb\xbfuser-agent\xff*\ndisallow",
    b"User-agent:\nDisallow: /" + b"*a" * 2000 + b"$\nUser-agent: *\nAllow: /\n",
    b"User-agent: *\nDisallow: /%zz\xff[(\\\nAllow: $$$***\n",
)


def _pick(rng: Rng, options: tuple[bytes, ...]) -> bytes:
    return options[int(rng.integers(len(options)))]


def _body(rng: Rng) -> bytes:
    match rng.integers(0, 9):
        case 0:
            return b""
        case 1:
            return png()[: int(rng.integers(1, len(png())))]
        case 2:
            return rng.bytes(int(rng.integers(1, 2000)))
        case 3:
            return gzip.compress(png())
        case 4:
            return gzip.compress(bytes(1_000_000))
        case 5:
            return _pick(rng, RULES)
        case _:
            return png()


def _chunked(body: bytes, rng: Rng) -> bytes:
    cut = int(rng.integers(0, len(body) + 1))
    sizes = (b"%x", b"%X;name=value", b"-%x", b"0x%x", b"%xg", b"fffffffffffffffff%x", b"%x ")
    parts = [(_pick(rng, sizes) if rng.random() < 0.2 else b"%x") % len(part) + b"\r\n" + part + b"\r\n"
             for part in (body[:cut], body[cut:]) if part]  # fmt: skip
    return b"".join(parts) + _pick(rng, (b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"", b"0"))


def _answer(rng: Rng) -> bytes:
    lines = [_pick(rng, STATUS_LINES)]
    body = _body(rng)
    if rng.random() < 0.6:  # a good server, for once
        lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body)]
    for _ in range(int(rng.integers(0, 4))):
        header = _pick(rng, HEADERS)
        lines.append(header.replace(b"%d", b"%d" % (len(body) + int(rng.integers(-3, 4)) * int(rng.integers(0, 2)))))
    if rng.random() < 0.3:
        lines.append(b"Location: " + _pick(rng, LOCATIONS))
    if any(b"chunked" in line for line in lines):
        body = _chunked(body, rng)
    before = b"".join(_pick(rng, INFORMATIONAL) for _ in range(int(rng.integers(0, 3))))
    answer = before + _pick(rng, (b"\r\n", b"\r\n", b"\n")).join([*lines, b"", b""]) + body
    if rng.random() < 0.2:
        flipped = bytearray(answer)
        for at in rng.integers(0, len(answer), 5):
            flipped[at] ^= 1 << int(rng.integers(0, 8))
        return bytes(flipped)
    return answer


def _converse(connection: socket.socket, rng: Rng, is_over: threading.Event) -> None:
    """One connection: answers whole, cut or drop by drop, then an end, a reset, silence, or more without end."""
    with connection:
        try:
            for _ in range(3):
                if not connection.recv(65536):
                    return
                answer = _answer(rng)
                match rng.integers(0, 8):
                    case 0:
                        connection.sendall(answer[: int(rng.integers(0, len(answer) + 1))])
                        return
                    case 1:
                        for at in range(len(answer)):
                            connection.sendall(answer[at : at + 1])
                            if is_over.wait(0.01):
                                return
                    case 2:
                        connection.sendall(answer[: int(rng.integers(0, len(answer) + 1))])
                        linger = struct.pack("ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset, not an end
                        return
                    case 3:
                        part = _pick(rng, (*INFORMATIONAL, answer, b"x", b"\r\n", b"1\r\nx\r\n"))
                        connection.sendall(answer[: int(rng.integers(0, len(answer) + 1))])
                        while not is_over.wait(0.005):
                            connection.sendall(part)
                    case 4:
                        connection.sendall(answer[: int(rng.integers(0, len(answer) + 1))])
                        is_over.wait(2)
                    case _:
                        connection.sendall(answer)
        except OSError:  # the client had enough
            pass


@contextmanager
def _serve(seed: int) -> Iterator[str]:
    """The address of a server whose nth connection follows from the seed and n."""
    is_over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    conversations: list[threading.Thread] = []

    def accept() -> None:
        while not is_over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            rng = np.random.default_rng([seed, len(conversations)])
            connections.append(connection)
            conversations.append(threading.Thread(target=_converse, args=(connection, rng, is_over), daemon=True))
            conversations[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        is_over.set()
        for held in (listening, *connections):  # whoever waits in one of them wakes up
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (accepting, *conversations):
            thread.join()


def _urls(rng: Rng, address: str) -> list[str]:
    """Of three images, one of them asked for twice, and of what no server gets to see."""
    named = [f"{address}/{nth}.png" for nth in range(3)]
    return [*named, named[0], str(rng.choice(BAD_URLS))]


def _fuzz(seed: int) -> set[str]:
    """The statuses of some downloads by one downloader, which may keep a connection from one to the next."""
    rng = np.random.default_rng(seed)
    polite = Politeness(
        requests_per_second=10_000,
        timeout_s=0.06,
        total_timeout_s=0.12,
        n_retries=int(rng.integers(0, 2)),
        backoff_s=0,
        max_wait_s=0,
        max_redirects=int(rng.integers(0, 3)),
        allow_private=True,
        obey_robots_txt=bool(rng.random() < 0.3),
        obey_noai=bool(rng.random() < 0.5),
    )
    with _serve(seed) as address, TemporaryDirectory() as store:
        urls = _urls(rng, address)
        asked = pd.DataFrame({"image_id": urls, "etag": [None, '"v1"', '"v1"', None, None], "last_modified": None})
        started = time.monotonic()
        frames = list(
            _build_fetcher(polite, LIMITS, 1, store, datetime(2024, 1, 1, tzinfo=UTC))(iter([asked[:2], asked[2:]]))
        )
        seconds = time.monotonic() - started
        found = pd.concat(frames)
        assert found["image_id"].tolist() == urls, f"seed {seed}"
        for row in found.itertuples():
            assert LEGAL.fullmatch(row.status), f"seed {seed}: {row}"
            assert (row.status == "ok") == (row.uri is not None) == (not pd.isna(row.width_px)), f"seed {seed}: {row}"
            assert row.error or row.status in ("ok", "not_modified") or row.status.startswith("http_"), f"seed {seed}"
            assert row.uri is None or sha256(read_uri(row.uri, LIMITS.max_bytes)) == row.sha256, f"seed {seed}"
    # Each url, and robots.txt once for each, as often as it is tried; and a second for a busy machine to wake up.
    n_attempts = 2 * len(urls) * (polite.n_retries + 1)
    assert seconds < n_attempts * (polite.total_timeout_s + 1), f"seed {seed}"
    return set(found["status"])


def test_a_few_servers() -> None:
    seen = set().union(*(_fuzz(seed) for seed in (*KEPT, *range(40))))
    assert {"ok", "timeout", "connection_failed", "not_an_image", "noai", "bad_url"} <= seen


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS)
def test_many_servers() -> None:
    def holds(seed: int) -> None:
        _fuzz(seed)

    try_for_long(holds, st.integers(0, 2**40))
