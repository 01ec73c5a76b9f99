"""One writer at a time: a lock file in the table's folder, broken when its holder is dead.

The file is created exclusively and says who holds it: run, host, process, time. While it is held it is written again
every `HEARTBEAT_SECONDS`. It is stale, and taken over with a message, when its process has ended on this host, or when
it was not written for `STALE_SECONDS` (the host died, or the process hangs). Two that take over a stale lock at the
same moment both read it again after `SETTLE_SECONDS`: the last to write has it, and the other waits. Whoever was
taken over finds out in `check`, which is called right before anything is published.

Exclusive creation is the file system's: local disks and S3 (conditional writes) have it. Where there is none (HDFS
through fsspec), a lock is taken as a stale one is taken over.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from fsspec.core import url_to_fs

from popspark.runtime.errors import LockError
from popspark.runtime.files import replace_file

LOG = logging.getLogger(__name__)
NAME = "_lock"
HEARTBEAT_SECONDS, STALE_SECONDS, SETTLE_SECONDS, POLL_SECONDS = 10.0, 120.0, 1.0, 0.2


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    try:  # killed, but nobody has asked for its exit code yet
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:  # no Linux, or gone since
        return True


class TableLock:
    """Held inside a `with` block. folder: of the table, a path or a URL. wait_seconds: for another run to end."""

    def __init__(self, folder: str, run_id: str, wait_seconds: float) -> None:
        self._fs, root = url_to_fs(folder)
        self._folder, self._path = root, f"{root}/{NAME}"
        self._wait_seconds = wait_seconds
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid(), "started_at": started_at}
        self._token = uuid.uuid4().hex
        self._content = json.dumps(who | {"token": self._token}).encode()
        self._ended = threading.Event()
        self.broken: dict[str, Any] | None = None
        """The holder whose stale lock was taken over."""

    def __enter__(self) -> TableLock:
        self._fs.makedirs(self._folder, exist_ok=True)
        deadline = time.monotonic() + self._wait_seconds
        is_waiting = False
        while not self._take():
            if time.monotonic() >= deadline:
                raise LockError(
                    "Another run is writing this table.",
                    where=self._path,
                    got=self._describe(self._holder()),
                    fix="wait for it to end, and run this again"
                    + (f", or set lock_wait_seconds to more than {self._wait_seconds:g}" if self._wait_seconds else ""),
                )
            if not is_waiting:
                LOG.warning("waiting for %s", self._describe(self._holder()))
                is_waiting = True
            time.sleep(POLL_SECONDS)
        threading.Thread(target=self._beat, name=f"heartbeat of {self._path}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._is_ours():
            self._fs.rm_file(self._path)

    def check(self) -> None:
        """Raises `LockError` where the lock was taken over: this run was taken for dead, and must write no more."""
        if not self._is_ours():
            raise LockError(
                "This run's lock was taken over by another run.",
                where=self._path,
                got=self._describe(self._holder()),
                fix="the other run writes the table; find out why this one stood still",
            )

    def _take(self) -> bool:
        try:
            self._create()
        except FileExistsError:
            holder = self._holder()
            if holder is None or not self._is_stale(holder):
                return False
            LOG.warning("breaking the stale lock of %s", self._describe(holder))
            if not self._take_over():
                return False
            self.broken = holder
        return True

    def _take_over(self) -> bool:
        self._write()
        time.sleep(SETTLE_SECONDS)
        return self._is_ours()

    def _create(self) -> None:
        """Raises `FileExistsError` where the file is there already."""
        try:
            stream = self._fs.open(self._path, "xb")
        except (ValueError, NotImplementedError) as error:  # a file system that cannot create exclusively
            if self._fs.exists(self._path) or not self._take_over():
                raise FileExistsError(self._path) from error
            return
        try:
            with stream:
                stream.write(self._content)
        except OSError:  # a full disk: an empty lock would keep everybody out until it is stale
            self._fs.rm_file(self._path)
            raise

    def _holder(self) -> dict[str, Any] | None:
        """What the lock file says; an empty record where it is being written; None where there is none."""
        try:
            content = self._fs.cat_file(self._path)
        except FileNotFoundError:
            return None
        try:
            found: dict[str, Any] = json.loads(content)
        except ValueError:
            return {}
        return found

    def _is_stale(self, holder: dict[str, Any]) -> bool:
        if holder.get("host") == socket.gethostname() and not _is_running(holder["pid"]):
            return True
        try:
            modified: datetime = self._fs.modified(self._path)
        except FileNotFoundError:
            return False
        return (datetime.now(UTC) - modified).total_seconds() > STALE_SECONDS

    def _is_ours(self) -> bool:
        return (self._holder() or {}).get("token") == self._token

    def _write(self) -> None:
        """The whole file at once: under another name, then renamed."""
        written = f"{self._path}-{self._token}"
        try:
            self._fs.pipe_file(written, self._content)
            replace_file(self._fs, written, self._path)
        except OSError:
            if self._fs.exists(written):
                self._fs.rm_file(written)
            raise

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                if not self._is_ours():
                    return
                self._write()
            except OSError as error:  # a full disk, a lost connection: the next beat may succeed
                LOG.warning("no heartbeat in %s: %s", self._path, error)

    @staticmethod
    def _describe(holder: dict[str, Any] | None) -> str:
        if not holder:
            return "a run that has just come or gone"
        return f"run {holder['run_id']} on {holder['host']}, process {holder['pid']}, since {holder['started_at']}"
