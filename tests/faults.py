"""Nightly runs that are hurt on purpose, each on executors of its own: what the tests and bench/faults.py share.

A warehouse holds the posts of two nights and the table that the first night left. A trial copies that table, runs the
second night, strikes once, looks at the table (it must be that of the first night or that of the second), and runs
again, as a scheduler would, until a run succeeds.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
from PIL import Image

from popspark.bundle import Bundle, Reduction, write_bundle
from popspark.extractor import FeatureSettings, plan_features
from popspark.publishing import settle
from tests.killing_decoder import DEADLY

ROOT = Path(__file__).resolve().parents[1]
SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
MASTER = "local-cluster[2,1,1024]"
N_IMAGES, N_POSTS, N_FIRST_NIGHT = 30, 240, 160
VICTIMS = {"worker": "pyspark.daemon", "executor": "CoarseGrainedExecutorBackend"}
KINDS = ("worker", "executor", "driver", "machine", "disk", "decoder")


def _photograph(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).resize((320, 240)).save(stream, "JPEG")
    return stream.getvalue()


def _write_images(folder: Path, changed: tuple[int, ...] = (), deadly: tuple[int, ...] = ()) -> None:
    rows = []
    for n in range(N_IMAGES):
        content = _photograph(n + 1000 * (n in changed)) + (DEADLY if n in deadly else b"")
        content = content[:500] if n == 3 else content  # broken, as some always are
        rows.append({"image_id": f"i{n}", "content": content, "sha256": hashlib.sha256(content).hexdigest()})
    schema = {"image_id": pa.string(), "content": pa.binary(), "sha256": pa.string(), "n_bytes": pa.int64()}
    schema |= {"width_px": pa.int32(), "height_px": pa.int32(), "format": pa.string(), "status": pa.string()}
    rows = [{**row, "status": "ok"} for row in rows]
    folder.mkdir()
    for part in range(4):
        table = pa.Table.from_pylist(rows[part::4], pa.schema({**schema, "error": pa.string()}))
        pq.write_table(table, folder / f"{part}.parquet")


def _write_posts(folder: Path, n_posts: int) -> None:
    sample = pq.read_table(ROOT / "sample" / "posts").slice(0, 1).to_pylist()[0]
    rows = [
        {
            **sample,
            "post_id": f"p{n}",
            "posted_at": datetime(2024, 1, 1) + timedelta(days=1.5 * n),
            "image_id": None if n % 50 == 7 else f"i{n % (N_IMAGES + 1)}",  # i30 is not there
        }
        for n in range(n_posts)
    ]
    folder.mkdir()
    schema = pq.read_schema(next((ROOT / "sample" / "posts").glob("*.parquet")))
    table = pa.Table.from_pylist(rows, schema.remove_metadata())
    pq.write_table(table, folder / "0.parquet", coerce_timestamps="us", allow_truncated_timestamps=True)


def _write_bundle(folder: Path) -> None:
    """The score is a fixed projection of the colour histogram: no network, so that a run is short."""
    (color,) = plan_features(FeatureSettings(families=("color",)))
    numbers = np.random.default_rng(0).normal(size=(1, 32)).astype(np.float32)
    ones, zeros = np.ones(32, np.float32), np.zeros(32, np.float32)
    reduction = Reduction(zeros, ones, numbers, zeros[:1], ones[:1])
    manifest = {
        "name": "faults",
        "version": "1",
        "kind": "linear",
        "features": [{"name": "color", "version": color.version, "dim": 32, "weights": None}],
        "feature_settings": {"dtype": "float32"},
        "is_simulated": True,
    }
    write_bundle(Bundle(manifest, {}, {"visual": reduction}, np.linspace(-1, 1, 1001)), folder, "For tests of faults.")


@dataclass(frozen=True)
class Warehouse:
    """folder: of all tables. package: the zip for --py-files. first, second: what a night left without a fault."""

    folder: Path
    package: Path
    first: dict[str, tuple]
    second: dict[str, tuple]
    seconds: float

    @classmethod
    def make(cls, folder: Path) -> Warehouse:
        """Two nights without a fault. seconds: what the second took."""
        package = Path(shutil.make_archive(str(folder / "popspark"), "zip", ROOT, "popspark"))
        _write_images(folder / "images1")
        _write_images(folder / "images2", changed=(5, 6))
        _write_images(folder / "images_deadly", changed=(5, 6), deadly=(8, 9))
        _write_posts(folder / "posts1", N_FIRST_NIGHT)
        _write_posts(folder / "posts2", N_POSTS)
        _write_bundle(folder / "bundle")
        made = cls(folder, package, {}, {}, 0.0)
        made.run(folder / "scores1", night=1)
        shutil.copytree(folder / "scores1", folder / "scores2")
        start = time.monotonic()
        made.run(folder / "scores2")
        return cls(folder, package, read(folder / "scores1"), read(folder / "scores2"), time.monotonic() - start)

    def start(self, scores: Path, night: int = 2, images: str | None = None) -> subprocess.Popen:
        """score_posts in a process group of its own; its lines go to run.log."""
        environment = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
        paths = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
        job = ROOT / "tests" / "deadly_score_posts.py" if images else ROOT / "jobs" / "score_posts.py"
        options = ["spark.ui.enabled=false", "spark.sql.shuffle.partitions=2", f"spark.executorEnv.PYTHONPATH={ROOT}"]
        command = [str(SUBMIT), "--master", MASTER, "--py-files", str(self.package), "--executor-memory", "700m"]
        for option in options:
            command += ["--conf", option]
        command += [str(job), f"env.warehouse={self.folder}", f"bundle={self.folder}/bundle", f"scores={scores}"]
        command += [f"posts={self.folder}/posts{night}", f"images={self.folder}/{images or f'images{night}'}"]
        command += ["report=null", "lock_wait_seconds=30"]
        with (self.folder / "run.log").open("w") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=environment | paths, start_new_session=True
            )

    def run(self, scores: Path, night: int = 2, images: str | None = None) -> None:
        """A run that nothing happens to."""
        code = self.start(scores, night, images).wait(timeout=240)
        assert code == 0, (self.folder / "run.log").read_text()[-4000:]


def read(scores: Path) -> dict[str, tuple]:
    """The table as popspark reads it, by post; without what differs between runs of the same."""
    settle(str(scores))
    rows = pq.read_table(scores).to_pylist()
    assert len({row["post_id"] for row in rows}) == len(rows), "a post has two rows"
    names = ("status", "error", "model_name", "model_version", "input_hash", "posted_month")
    return {
        row["post_id"]: (None if row["score"] is None else round(row["score"], 6), *(row[name] for name in names))
        for row in rows
    }


def _wait_for_session(process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and "] session" not in log.read_text() and time.monotonic() < deadline:
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
    generator = random.Random(seed)
    process = warehouse.start(scores)
    _wait_for_session(process, warehouse.folder / "run.log")
    time.sleep(generator.uniform(0, warehouse.seconds * 0.7))
    strike(process, kind, generator)
    _end(process)
    return _judge(warehouse, scores, process.returncode)


def _judge(warehouse: Warehouse, scores: Path, code: int) -> list[str]:
    wrong = []
    after = read(scores)
    if after not in (warehouse.first, warehouse.second):
        wrong.append("the table after the fault is neither the old one nor the new one")
    if code == 0 and after != warehouse.second:
        wrong.append("the run said that it succeeded, but the table is the old one")
    warehouse.run(scores)
    if read(scores) != warehouse.second:
        wrong.append("the table after the next run differs from that of an undisturbed run")
    if left := [path.name for path in scores.iterdir() if path.name.startswith("_")]:
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
    warehouse.run(scores, images="images_deadly")
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
