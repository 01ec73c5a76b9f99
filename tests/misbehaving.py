"""A server on 127.0.0.1 that misbehaves in every way a download has to survive; each path is one way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from PIL import Image


def png(side_px: int = 8) -> bytes:
    held = BytesIO()
    Image.new("RGB", (side_px, side_px), "teal").save(held, "PNG")
    return held.getvalue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Silent."""

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        length = headers.pop("Content_Length", str(len(body)))
        for name, value in {**headers, "Content_Length": length}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.requests[self.path] += 1
        getattr(self, f"_{self.path.strip('/').split('/')[0]}", self._missing)()

    def _missing(self) -> None:
        self._send(404)

    def _image(self) -> None:
        if self.headers.get("If-None-Match") == '"v1"':
            self._send(304)
        else:
            self._send(200, png(), ETag='"v1"')

    def _text(self) -> None:
        self._send(200, b"<html>not found</html>")

    def _nothing(self) -> None:
        self._send(200)

    def _cut(self) -> None:
        """Fewer bytes than announced."""
        self._send(200, png()[:20], Content_Length="5000")
        self.close_connection = True

    def _announced(self) -> None:
        self._send(200, b"", Content_Length="999999999")
        self.close_connection = True

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server.is_over.is_set():
                self.wfile.write(b"x" * 10_000)
        except OSError:
            pass

    def _trickle(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server.is_over.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            pass

    def _silent(self) -> None:
        self.server.is_over.wait(30)
        self.close_connection = True

    def _loop(self) -> None:
        self._send(302, Location=self.path)

    def _moved(self) -> None:
        self._send(301, Location="/image/moved")

    def _elsewhere(self) -> None:
        self._send(302, Location="ftp://example.org/a.png")

    def _flaky(self) -> None:
        """Fails twice."""
        if self.server.requests[self.path] < 3:
            self._send(503, Retry_After="0")
        else:
            self._send(200, png())

    def _broken(self) -> None:
        self._send(500)

    def _garbage(self) -> None:
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """requests: how often each path was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: Counter[str] = Counter()
        self.is_over = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what the tests are about."""


@contextmanager
def serve() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()
