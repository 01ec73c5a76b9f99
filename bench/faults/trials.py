"""Nightly runs that are hurt on purpose: what bench/faults.py counts and a slow test asserts.

A trial copies the table that the first night left, runs the second night, strikes once, looks at the table (it must be
that of the first night or that of the second), and runs again, as a scheduler would.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.faults.nights import N_IMAGES, Warehouse, read
from popspark.storage.arrow import read_arrow

VICTIMS = {"worker": "pyspark.daemon", "executor": "CoarseGrainedExecutorBackend"}
KINDS = ("worker", "executor", "driver", "machine", "disk", "decoder", "extraction")


def _wait_for_session(process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and "] session" not in log.read_text("utf-8") and time.monotonic() < deadline:
        time.sleep(0.05)


def strike(process: subprocess.Popen, kind: str, generator: random.Random) -> bool:
    """SIGKILL to one process of that kind, or to all; whether there was one.

    `driver`: the Python process that plans and publishes, and Spark's, while its executors live on for a moment;
    `machine`: all at the same time.
    """
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        lines = [(each, " ".join(each.cmdline())) for each in family]
    except psutil.NoSuchProcess:
        return False
    if kind == "machine":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return True
    if kind == "driver":
        victims = [each for each, line in lines if "score_posts.py" in line]
    else:
        victims = [each for each, line in lines if VICTIMS[kind] in line]
        victims = [generator.choice(victims)] if victims else []
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    return bool(victims)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of that size; raises `PermissionError` where this process may not mount one."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        raise PermissionError(done.stderr.decode())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _end(process: subprocess.Popen) -> None:
    """Waits, and leaves nothing of the group behind."""
    try:
        process.wait(timeout=240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trial(warehouse: Warehouse, kind: str, seed: int) -> list[str]:
    """One night with a fault of that kind, at a point drawn by `seed`; what went wrong, in words: nothing is right."""
    scores = warehouse.folder / f"scores-{kind}-{seed}"
    shutil.copytree(warehouse.folder / "scores1", scores)
    if kind == "disk":
        return _full_disk(warehouse, scores)
    if kind == "decoder":
        return _deadly_images(warehouse, scores)
    if kind == "extraction":
        return _killed_extraction(warehouse, seed)
    process = warehouse.start(scores)
    _strike_at_random(warehouse, process, kind, random.Random(seed))
    return _judge(warehouse, scores, process.returncode)


def _strike_at_random(warehouse: Warehouse, process: subprocess.Popen, kind: str, generator: random.Random) -> None:
    _wait_for_session(process, warehouse.log)
    time.sleep(generator.uniform(0, warehouse.seconds * 0.7))
    strike(process, kind, generator)
    _end(process)


def _judge(warehouse: Warehouse, scores: Path, code: int) -> list[str]:
    wrong = []
    after = read(scores)
    if after not in (warehouse.first, warehouse.second):
        wrong.append("the table after the fault is neither the old one nor the new one")
    if code == 0 and after != warehouse.second:
        wrong.append("the run said that it succeeded, but the table is the old one")
    warehouse.finish(warehouse.start(scores))
    if read(scores) != warehouse.second:
        wrong.append("the table after the next run differs from that of an undisturbed run")
    if left := [path.name for path in scores.iterdir() if path.name.startswith("_") and path.name != "_delta_log"]:
        wrong.append(f"left behind: {', '.join(left)}")
    return wrong


def _full_disk(warehouse: Warehouse, scores: Path) -> list[str]:
    with small_disk(warehouse.folder / f"{scores.name}-disk", "16m") as disk:
        table = shutil.copytree(scores, disk / "scores")
        free = os.statvfs(disk)
        with (disk / "ballast").open("wb") as ballast:  # leaves room for the lock and little else
            ballast.write(bytes((free.f_bavail - 4) * free.f_bsize))
        process = warehouse.start(table)
        _end(process)
        wrong = [] if process.returncode == 1 else [f"exit code {process.returncode} on a full disk"]
        if read(table) != warehouse.first:
            wrong.append("the table is not the old one")
        (disk / "ballast").unlink()
        return wrong + _judge(warehouse, table, process.returncode)


def _deadly_images(warehouse: Warehouse, scores: Path) -> list[str]:
    warehouse.finish(warehouse.start(scores, images="images_deadly"))
    found, expected = read(scores), dict(warehouse.second)
    # The bytes of i8 and i9 are others, and so are the hashes of their posts; only the refusal is new.
    dead = {
        post for post in expected if f"i{int(post[1:]) % (N_IMAGES + 1)}" in ("i8", "i9") and int(post[1:]) % 50 != 7
    }
    wrong = [f"{post} is {found[post][1]}" for post in dead if found[post][1] != "decoder_crash"]
    others = {post: row for post, row in found.items() if post not in dead}
    if others != {post: row for post, row in expected.items() if post not in dead}:
        wrong.append("images that were in order differ from those of an undisturbed run")
    return wrong


def _killed_extraction(warehouse: Warehouse, seed: int) -> list[str]:
    expected = warehouse.folder / "features"
    if not expected.exists():
        warehouse.finish(warehouse.start_extraction(expected))
    found = warehouse.folder / f"features-{seed}"
    process = warehouse.start_extraction(found)
    _strike_at_random(warehouse, process, "machine", random.Random(seed))
    warehouse.finish(warehouse.start_extraction(found))
    order = [("image_id", "ascending"), ("family", "ascending")]
    tables = [read_arrow(str(path)).sort_by(order) for path in (found, expected)]
    return [] if tables[0].equals(tables[1]) else ["the features differ from those of an undisturbed run"]
