"""Connections that lead only where they may, and that end when an attempt has had its time: urllib3, with both added.

A time-out of a socket counts from byte to byte. A server that sends one now and then, in a TLS handshake, in headers,
in answers `100 Continue` without end, never runs into it; so a timer shuts the connection in use when the time is over.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from popspark.images.downloads.addresses import is_public
from popspark.images.settings import Politeness


class RefusedAddress(HTTPError):  # noqa: N818  # it becomes a status
    """Raised while connecting, where the host has an address that is not public."""


class Budget:
    """The seconds that an attempt has, over all its requests. is_spent: whether they are over."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds
        self._left_s, self.is_spent = seconds, False
        self._watched: socket.socket | None = None
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time counts within the block; what is read of a connection that was shut looks like its end."""
        self._ends_at = time.monotonic() + self._left_s
        timer = threading.Timer(self._left_s, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._left_s = self.left_s
            self._watch(None)

    @property
    def left_s(self) -> float:
        """Seconds left, while time counts."""
        return max(self._ends_at - time.monotonic(), 0.0)

    def watch(self, connection: socket.socket) -> None:
        """Takes this connection for the one to shut, in place of any other."""
        # A duplicate, for TLS takes the socket from its first owner, and http.client drops one that is to be closed.
        self._watch(socket.fromfd(connection.fileno(), connection.family, connection.type))

    def _watch(self, watched: socket.socket | None) -> None:
        with self._lock:
            if self._watched is not None:
                self._watched.close()
            self._watched = watched
            if self.is_spent:
                self._shut()

    def _end(self) -> None:
        with self._lock:
            self.is_spent = True
            self._shut()

    def _shut(self) -> None:
        if self._watched is not None:
            with suppress(OSError):  # where the other side was faster
                self._watched.shutdown(socket.SHUT_RDWR)


class _FinalAnswer(HTTPResponse):
    """Reads over every informational answer; http.client does so for 100 alone, and takes 103 for the last word."""

    def begin(self) -> None:
        super().begin()
        while 100 < self.status < 200 and self.status != 101:
            self.headers = self.msg = None  # type: ignore[assignment]  # what `begin` knows a fresh one by
            super().begin()


class Connections:
    """The connections of one task. budget: of the attempt that is under way."""

    def __init__(self, politeness: Politeness) -> None:
        self._politeness = politeness
        self.budget = Budget(politeness.total_timeout_s)
        connections = self

        class Watched:
            """What is added to a connection of urllib3, whatever its scheme."""

            response_class: Any = _FinalAnswer

            def _new_conn(self) -> socket.socket:
                return connections._connect(self)

            def request(self, *args: Any, **options: Any) -> None:
                connections._watch(self)
                super().request(*args, **options)  # type: ignore[misc]

        class Plain(Watched, HTTPConnection):
            pass

        class Encrypted(Watched, HTTPSConnection):
            pass

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(politeness.timeout_s), retries=False)
        self._pool.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}

    def get(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to GET, its body yet to be read, redirects not followed; raises what urllib3 does."""
        return self._pool.request("GET", url, headers=headers, preload_content=False, redirect=False)

    def _watch(self, connection: Any) -> None:
        if connection.sock is not None:  # kept from an earlier request
            self.budget.watch(connection.sock)

    def _connect(self, connection: Any) -> socket.socket:
        host, port = connection._dns_host, connection.port
        try:
            addresses = self._resolve(host, port)
        except TimeoutError as error:
            raise ConnectTimeoutError(connection, f"looking up {host} took too long") from error
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(host, connection, error) from error  # type: ignore[arg-type]
        failure: OSError | None = None
        for address in addresses:
            try:
                connected = socket.create_connection((address, port), self._seconds())
            except OSError as error:
                failure = error
                continue
            self.budget.watch(connected)
            return connected
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, f"connecting to {host} took too long") from failure
        raise NewConnectionError(connection, str(failure)) from failure

    def _seconds(self) -> float:
        """The longest that a step of connecting may take; above 0, which a socket takes for no waiting at all."""
        return max(min(self._politeness.timeout_s, self.budget.left_s), 0.001)

    def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of the host, each once; raises `RefusedAddress` if any of them is not public."""
        found: Future[list[Any]] = Future()

        def look_up() -> None:
            try:
                found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except Exception as error:
                found.set_exception(error)

        # A name server that does not answer cannot be interrupted: it is left to its own time-out.
        threading.Thread(target=look_up, daemon=True).start()
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found.result(timeout=self._seconds())))
        for address in addresses:
            if not self._politeness.allow_private and not is_public(address):
                raise RefusedAddress(f"{host} is {address}, which is not a public address")
        return addresses
