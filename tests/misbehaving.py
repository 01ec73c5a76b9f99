"""A server on 127.0.0.1 that misbehaves in every way a download has to survive; each path is one way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
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
        if self.path == "/robots.txt":
            self._send(self.server.robots_status, self.server.robots.encode())
            return
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

    def _away(self) -> None:
        self._send(302, Location=f"http://127.0.0.2:{self.server.server_address[1]}/image/1")

    def _slow(self) -> None:
        self.server.is_over.wait(0.1)
        self._send(302, Location=f"/slow/{self.server.requests.total()}")

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

    def _later(self) -> None:
        """Fails once, and says by a date in the past when to come back."""
        if self.server.requests[self.path] < 2:
            self._send(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
        else:
            self._send(200, png())

    def _much_later(self) -> None:
        self._send(429, Retry_After=format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True))

    def _noai(self) -> None:
        self._send(200, png(), X_Robots_Tag="otherbot: none, noindex, tests: noai")

    def _othersnoai(self) -> None:
        self._send(200, png(), X_Robots_Tag="otherbot: noai")

    def _slowly(self, part: bytes) -> None:
        """The same bytes for ever, each before a time-out between bytes would end it."""
        self.close_connection = True
        try:
            while not self.server.is_over.wait(0.05):
                self.wfile.write(part)
        except OSError:
            pass

    def _informs(self) -> None:
        self._slowly(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hints(self) -> None:
        self._slowly(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")

    def _headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._slowly(b"x")

    def _chunks(self) -> None:
        """A picture and its end, but for a last chunk of length 0."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(png()), png()))
        self._slowly(b"0")

    def _prepared(self) -> None:
        """A picture after answers that are not the last one."""
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n")
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._send(200, png())

    def _garbage(self) -> None:
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """requests: how often each path was asked for. robots, robots_status: its robots.txt, and how it is answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: Counter[str] = Counter()
        self.robots, self.robots_status = "", 404
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
