"""One holder at a time; the dead are found out, the living are waited for."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from popspark.runtime.errors import LockError
from popspark.storage import locking
from popspark.storage.locking import TableLock, replace_file


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(locking, "SETTLE_SECONDS", 0.05)


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def zombie() -> int:
    """A process that ended, and whose parent has not asked for its exit code; this one never will."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def leave_lock(folder: Path, *, pid: int, host: str | None = None, age_s: float = 0) -> Path:
    """The lock of a run that is no more, last written `age_s` seconds ago."""
    who = {"run_id": "old", "host": host or socket.gethostname(), "pid": pid, "started_at": "2024-01-01T00:00:00"}
    path = folder / "_lock"
    path.write_text(json.dumps({**who, "token": "its own"}))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_the_lock_says_who_holds_it_and_goes_with_the_block(tmp_path: Path) -> None:
    with TableLock(str(tmp_path / "table"), "r1", 0):
        holder = json.loads((tmp_path / "table" / "_lock").read_text())
        assert (holder["run_id"], holder["pid"], holder["host"]) == ("r1", os.getpid(), socket.gethostname())
    assert not list((tmp_path / "table").iterdir())


def test_a_second_run_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    message = rf"got: run r1 on .*, process {os.getpid()}, since "
    with TableLock(str(tmp_path), "r1", 0), pytest.raises(LockError, match=message), TableLock(str(tmp_path), "r2", 0):
        pass
    assert LockError.exit_code == 75


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    first = TableLock(str(tmp_path), "r1", 0)
    first.__enter__()
    threading.Timer(0.2, lambda: first.__exit__(None, None, None)).start()
    with TableLock(str(tmp_path), "r2", 20):
        assert json.loads((tmp_path / "_lock").read_text())["run_id"] == "r2"


@pytest.mark.parametrize(
    "stale",
    [
        lambda folder: leave_lock(folder, pid=dead_process()),
        lambda folder: leave_lock(folder, pid=zombie()),
        lambda folder: leave_lock(folder, pid=os.getpid(), age_s=locking.STALE_SECONDS + 5),
        lambda folder: leave_lock(folder, pid=1, host="elsewhere", age_s=locking.STALE_SECONDS + 5),
    ],
    ids=["its process ended", "a zombie", "no heartbeat here", "no heartbeat elsewhere"],
)
def test_a_stale_lock_is_broken(
    tmp_path: Path, stale: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    stale(tmp_path)
    with TableLock(str(tmp_path), "r2", 0) as lock:
        assert lock.broken is not None
        assert lock.broken["run_id"] == "old"
        lock.check()
    assert "breaking the stale lock of run old on " in caplog.text


def test_a_lock_cut_off_while_it_was_written_is_broken_when_old(tmp_path: Path) -> None:
    (tmp_path / "_lock").touch()
    with pytest.raises(LockError, match="a run that has just come or gone"), TableLock(str(tmp_path), "r2", 0):
        pass
    os.utime(tmp_path / "_lock", (time.time() - locking.STALE_SECONDS - 5,) * 2)
    with TableLock(str(tmp_path), "r2", 0):
        pass


@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_a_live_lock_is_not_broken(tmp_path: Path, host: str) -> None:
    leave_lock(tmp_path, pid=os.getpid(), host=host)
    with pytest.raises(LockError), TableLock(str(tmp_path), "r2", 0.1):
        pass


def test_the_heartbeat_keeps_a_long_run_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "HEARTBEAT_SECONDS", 0.02)
    with TableLock(str(tmp_path), "r1", 0) as lock:
        os.utime(tmp_path / "_lock", (0, 0))
        deadline = time.monotonic() + 20
        while (tmp_path / "_lock").stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / "_lock").stat().st_mtime > 0
        lock.check()


def test_a_run_that_was_taken_for_dead_finds_out_and_leaves_the_new_lock(tmp_path: Path) -> None:
    with TableLock(str(tmp_path), "r1", 0) as first:
        os.utime(tmp_path / "_lock", (0, 0))
        second = TableLock(str(tmp_path), "r2", 0)
        second.__enter__()
        with pytest.raises(LockError, match="was taken over by another run"):
            first.check()
    second.check()
    second.__exit__(None, None, None)


def test_a_file_system_that_neither_creates_exclusively_nor_renames_onto_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_any, move = LocalFileSystem.open, LocalFileSystem.mv

    def open_as_hdfs(fs: LocalFileSystem, path: str, mode: str = "rb", **kwargs: object) -> object:
        if "x" in mode:
            raise ValueError(f"unsupported mode: {mode}")
        return open_any(fs, path, mode, **kwargs)

    def move_as_hdfs(fs: LocalFileSystem, source: str, target: str, **kwargs: object) -> None:
        if Path(target).exists():
            raise OSError("cannot rename onto a file")
        move(fs, source, target, **kwargs)

    monkeypatch.setattr(LocalFileSystem, "open", open_as_hdfs)
    monkeypatch.setattr(LocalFileSystem, "mv", move_as_hdfs)
    with TableLock(str(tmp_path), "r1", 0), pytest.raises(LockError), TableLock(str(tmp_path), "r2", 0):
        pass
    leave_lock(tmp_path, pid=dead_process())
    with TableLock(str(tmp_path), "r3", 0) as lock:
        lock.check()
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    replace_file(LocalFileSystem(), f"{tmp_path}/new", f"{tmp_path}/old")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "new"}


def test_of_many_that_break_a_stale_lock_one_has_it_at_a_time(tmp_path: Path) -> None:
    leave_lock(tmp_path, pid=dead_process())
    holders, most = 0, 0
    guard = threading.Lock()

    def work(n: int) -> None:
        nonlocal holders, most
        with TableLock(str(tmp_path), f"r{n}", 60):
            with guard:
                holders += 1
                most = max(most, holders)
            time.sleep(0.02)
            with guard:
                holders -= 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
