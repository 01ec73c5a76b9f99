"""One URL to one image or a status, against a server that misbehaves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from popspark.images import download
from popspark.images.decode import sha256
from popspark.images.download import Downloader
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


@pytest.mark.parametrize("url", ["", "a.png", "file:///etc/passwd", "http://", "http://[::1", "https://:80/a"])
def test_what_is_no_address(url: str) -> None:
    assert downloader().fetch(url).status == "bad_url"


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        found = downloader().fetch(f"http://127.0.0.1:{held.getsockname()[1]}/a.png")
    assert found.status == "connection_failed"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "192.168.1.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],
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
    seen = []

    def only_first(host: str, port: int) -> list[str]:
        seen.append(host)
        if len(seen) > 1:
            raise download.RefusedAddress(f"{host} is {host}, which is not a public address")
        return ["127.0.0.1"]

    monkeypatch.setattr(download, "_public_addresses", only_first)

    class OneRequest(Downloader):
        """Keeps no connection, as two hosts would not share one."""

        def _wait_for(self, host: str) -> None:
            self._pool.clear()

    found = OneRequest(downloader(allow_private=False)._politeness, LIMITS).fetch(server.url("moved"))
    assert found.status == "refused_address"
    assert server.requests == {"/moved": 1}


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

    monkeypatch.setattr("popspark.images.download.time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    polite = downloader(requests_per_second=20.0)
    for i in range(4):
        assert polite.fetch(server.url(f"image/{i}")).status == "ok"
    assert clock[0] == pytest.approx(100.0 + 3 / 20)
