"""One URL to one image or a status, against a server that misbehaves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from popspark.images.decode import sha256
from popspark.images.downloads import connecting
from popspark.images.downloads.download import Downloader
from popspark.images.limits import Limits
from popspark.images.settings import Politeness
from tests.misbehaving import Server, png, serve

LIMITS = Limits(max_bytes=100_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


def downloader(**options: Any) -> Downloader:
    values: dict[str, Any] = {
        "requests_per_second": 1000.0,
        "timeout_s": 0.3,
        "total_timeout_s": 0.6,
        "n_retries": 1,
        "backoff_s": 0.01,
        "max_wait_s": 0.02,
        "max_redirects": 3,
        "allow_private": True,
        "user_agent": "tests",
    }
    return Downloader(Politeness(**{**values, **options}), LIMITS)


def test_an_image(server: Server) -> None:
    found = downloader().fetch(server.url("image/1"))
    assert found.content is not None
    assert found.header is not None
    assert (found.status, found.error, found.etag) == ("ok", None, '"v1"')
    assert sha256(found.content) == sha256(png())
    assert (found.header.format, found.header.width_px, found.header.height_px) == ("PNG", 8, 8)


def test_a_copy_that_still_holds_is_not_sent_again(server: Server) -> None:
    found = downloader().fetch(server.url("image/1"), etag='"v1"')
    assert (found.status, found.content) == ("not_modified", None)
    assert downloader().fetch(server.url("image/1"), etag='"v0"').status == "ok"


@pytest.mark.parametrize(
    ("path", "status", "n_requests"),
    [
        ("missing", "http_404", 1),
        ("broken", "http_500", 2),
        ("text", "not_an_image", 1),
        ("nothing", "empty", 1),
        ("announced", "too_large", 1),
        ("endless", "too_large", 1),
        ("cut", "connection_failed", 2),
        ("garbage", "connection_failed", 2),
        ("silent", "timeout", 2),
        ("trickle", "timeout", 2),
        ("informs", "timeout", 2),
        ("hints", "timeout", 2),
        ("headers", "timeout", 2),
        ("chunks", "timeout", 2),
        ("much_later", "http_429", 2),
        ("loop", "too_many_redirects", 4),
        ("elsewhere", "bad_url", 1),
    ],
)
def test_each_way_to_misbehave_has_a_status(server: Server, path: str, status: str, n_requests: int) -> None:
    found = downloader().fetch(server.url(path))
    assert (found.status, found.content) == (status, None)
    assert found.error
    assert server.requests[f"/{path}"] == n_requests


def test_a_redirect_is_followed_and_a_passing_failure_retried(server: Server) -> None:
    assert downloader().fetch(server.url("moved")).status == "ok"
    assert downloader(n_retries=2).fetch(server.url("flaky")).status == "ok"
    assert server.requests["/flaky"] == 3
    assert downloader().fetch(server.url("later")).status == "ok"


def test_informational_answers_are_read_over(server: Server) -> None:
    assert downloader().fetch(server.url("prepared")).status == "ok"


@pytest.mark.parametrize(
    "url",
    ["", "a.png", "file:///etc/passwd", "http://", "http://[::1", "https://:80/a", "http://a.example\\@b.example/"],
)
def test_what_is_no_address(url: str) -> None:
    assert downloader().fetch(url).status == "bad_url"


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        found = downloader().fetch(f"http://127.0.0.1:{held.getsockname()[1]}/a.png")
    assert found.status == "connection_failed"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "127.1",
        "168.63.129.16",
        "192.0.0.192",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[fec0::1]",
    ],
)
def test_private_addresses_are_refused(server: Server, host: str) -> None:
    port = server.server_address[1]
    found = downloader(allow_private=False).fetch(f"http://{host}:{port}/image/1")
    assert found.status == "refused_address"
    assert "is not a public address" in str(found.error)
    assert not server.requests


def test_a_public_name_that_leads_to_a_private_address_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the address that the name resolves to, first or after a redirect."""

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = server.server_address[1]
    assert downloader(allow_private=False).fetch(f"http://example.org:{port}/image/1").status == "refused_address"
    assert not server.requests


def test_a_redirect_to_a_private_address_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host passes for a public one; that of the redirect, another name of the same machine, does not."""
    monkeypatch.setattr(connecting, "is_public", lambda address: address == "127.0.0.1")
    polite = downloader(allow_private=False)
    assert polite.fetch(server.url("image/1")).status == "ok"
    assert polite.fetch(server.url("away")).status == "refused_address"
    assert polite.fetch(server.url("away")).error == "127.0.0.2 is 127.0.0.2, which is not a public address; while " + (
        f"asking for http://127.0.0.2:{server.server_address[1]}/robots.txt"
    )
    found = downloader(allow_private=False, obey_robots_txt=False).fetch(server.url("away"))
    assert (found.status, found.error) == ("refused_address", "127.0.0.2 is 127.0.0.2, which is not a public address")


def test_one_private_address_among_others_is_enough_to_refuse(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("93.184.215.14", "10.1.2.3")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    found = downloader(allow_private=False, obey_robots_txt=False).fetch("http://example.org/a.png")
    assert (found.status, found.error) == (
        "refused_address",
        "example.org is 10.1.2.3, which is not a public address",
    )


def test_the_next_address_is_tried_where_one_does_not_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> list[tuple[Any, ...]]:
        if host != "two.example":
            return look_up(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert downloader().fetch(f"http://two.example:{server.server_address[1]}/image/1").status == "ok"


def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(60))
    found = downloader(n_retries=0).fetch("http://example.org/a.png")
    assert not is_over.is_set()
    is_over.set()
    assert found.status == "timeout"
    assert str(found.error).startswith("ConnectTimeoutError: ")


def test_a_handshake_without_end() -> None:
    """TLS: a record that is announced with 16 kB and comes byte by byte."""
    is_over = threading.Event()

    def serve_slowly(listening: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            try:
                accepted.sendall(b"\x16\x03\x03\x40\x00")
                while not is_over.wait(0.05):
                    accepted.sendall(b"\x02")
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve_slowly, args=(listening,), daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        polite = downloader(n_retries=0, timeout_s=30, obey_robots_txt=False)
        found = polite.fetch(f"https://127.0.0.1:{port}/a.png")
        is_over.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (found.status, found.error) == ("timeout", "not done after 0.6 s")


def test_time_that_was_spent_on_redirects_is_not_there_for_the_rest(server: Server) -> None:
    """Each answer comes in time, all of them together do not."""
    found = downloader(timeout_s=0.5, total_timeout_s=0.5, max_redirects=1000, n_retries=0).fetch(server.url("slow/1"))
    assert (found.status, found.error) == ("timeout", "not done after 0.5 s")


ROBOTS = """\
User-agent: tests
Disallow: /image
Disallow: /*.gif$
Allow: /image/public

User-agent: *
Disallow: /
"""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("image/1", "robots_disallowed"),
        ("a.gif", "robots_disallowed"),
        ("a.gif?x", "http_404"),
        ("text", "not_an_image"),
        ("image/public/1", "ok"),
        ("moved", "robots_disallowed"),
    ],
)
def test_robots_txt_is_obeyed(server: Server, path: str, status: str) -> None:
    server.robots, server.robots_status = ROBOTS, 200
    assert downloader().fetch(server.url(path)).status == status
    assert server.requests["/robots.txt"] == 1
    assert (f"/{path}" in server.requests) == (status != "robots_disallowed" or path == "moved")


def test_robots_txt_is_read_once_and_by_the_name_that_requests_bear(server: Server) -> None:
    server.robots, server.robots_status = ROBOTS, 200
    polite = downloader(user_agent="Tests/1.0 (+https://example.org)")
    assert [polite.fetch(server.url(f"image/{i}")).status for i in range(3)] == ["robots_disallowed"] * 3
    assert server.requests == {"/robots.txt": 1}
    assert polite.fetch(server.url("image/1")).error == f"{server.url('robots.txt')} disallows it for Tests"
    assert downloader(user_agent="someone").fetch(server.url("text")).status == "robots_disallowed"
    assert downloader(obey_robots_txt=False).fetch(server.url("image/1")).status == "ok"


@pytest.mark.parametrize(
    ("answer", "status"),
    [(401, "ok"), (404, "ok"), (204, "ok"), (429, "http_429"), (500, "http_500"), (503, "http_503")],
)
def test_a_host_that_has_no_robots_txt_and_one_that_cannot_say(server: Server, answer: int, status: str) -> None:
    server.robots_status = answer
    found = downloader().fetch(server.url("image/1"))
    assert found.status == status
    if status != "ok":
        assert str(found.error).endswith(f"; while asking for {server.url('robots.txt')}")
        assert "/image/1" not in server.requests


def test_noai_is_obeyed(server: Server) -> None:
    found = downloader().fetch(server.url("noai"))
    assert (found.status, found.content) == ("noai", None)
    assert found.error == "X-Robots-Tag: otherbot: none, noindex, tests: noai"
    assert downloader(user_agent="else").fetch(server.url("noai")).status == "ok"
    assert downloader().fetch(server.url("othersnoai")).status == "ok"
    assert downloader(obey_noai=False).fetch(server.url("noai")).status == "ok"


def test_errors_are_without_secrets(server: Server) -> None:
    found = downloader(max_redirects=0).fetch(server.url("loop/1?X-Amz-Signature=SECRET&n=1"))
    assert found.status == "too_many_redirects"
    assert str(found.error).endswith("/loop/1?X-Amz-Signature=***&n=1")


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for allow_private in (True, False):
        assert downloader(allow_private=allow_private).fetch("http://nobody.invalid/a.png").status == "unknown_host"


def test_a_host_is_asked_no_faster_than_agreed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]  # it stands still but for the waits

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(
        "popspark.images.downloads.download.time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep)
    )
    polite = downloader(requests_per_second=20.0)
    for i in range(4):
        assert polite.fetch(server.url(f"image/{i}")).status == "ok"
    assert clock[0] == pytest.approx(100.0 + 4 / 20)  # robots.txt is a request too

    server.robots, server.robots_status = "User-agent: *\nCrawl-delay: 7\n", 200
    slower = downloader(requests_per_second=20.0, max_wait_s=30)
    assert [slower.fetch(server.url("image/1")).status for _ in range(3)] == ["ok"] * 3
    assert clock[0] == pytest.approx(100.2 + 1 / 20 + 2 * 7)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3),
        ("120", 30),
        ("9" * 400, 30),
        ("in 20 s", 20),
        ("in 9999 s", 30),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.5),
        ("Wed, 99 Oct 99999999999999 07:28:00 GMT", 0.5),
        ("soon", 0.5),
        ("-7", 0.5),
        ("", 0.5),
    ],
)
def test_retry_after_is_waited_for(monkeypatch: pytest.MonkeyPatch, value: str, seconds: float) -> None:
    if value.startswith("in "):
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=int(value.split()[1])), usegmt=True)
    waits: list[float] = []
    monkeypatch.setattr(
        "popspark.images.downloads.download.time", SimpleNamespace(monotonic=lambda: 0.0, sleep=waits.append)
    )
    answer = SimpleNamespace(status=503, reason="Busy", headers=HTTPHeaderDict({"Retry-After": value}), close=lambda: 0)
    polite = downloader(n_retries=1, backoff_s=0.5, max_wait_s=30.0, obey_robots_txt=False)
    monkeypatch.setattr(polite._connections, "get", lambda *_: answer)
    assert polite.fetch("http://example.org/a.png").status == "http_503"
    assert waits[1] == pytest.approx(seconds, abs=2)
