"""The posts of two nights, the tables that undisturbed runs made of them, and the job on executors of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
from PIL import Image

from bench.faults.deadly_decoder import DEADLY
from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.models.bundle import Bundle, Reduction, write_bundle
from popspark.storage.arrow import read_arrow

ROOT = Path(__file__).resolve().parents[2]
SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
MASTER = "local-cluster[2,1,1024]"
N_IMAGES, N_POSTS, N_FIRST_NIGHT = 30, 240, 160


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
    for nth in range(4):
        table = pa.Table.from_pylist(rows[nth::4], pa.schema({**schema, "error": pa.string()}))
        pq.write_table(table, folder / f"{nth}.parquet")


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
    times = {name: pa.timestamp("us", "UTC") for name in ("posted_at", "collected_at")}
    schema = pa.schema({field.name: times.get(field.name, field.type) for field in schema})
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "0.parquet")


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
        made.finish(made.start(folder / "scores1", night=1))
        shutil.copytree(folder / "scores1", folder / "scores2")
        start = time.monotonic()
        made.finish(made.start(folder / "scores2"))
        return cls(folder, package, read(folder / "scores1"), read(folder / "scores2"), time.monotonic() - start)

    def start(self, scores: Path, night: int = 2, images: str | None = None) -> subprocess.Popen:
        """score_posts in a process group of its own; its lines go to run.log. images: those that kill decoders."""
        job = "bench/faults/deadly_score_posts.py" if images else "jobs/score_posts.py"
        overrides = [f"bundle={self.folder}/bundle", f"scores={scores}", f"posts={self.folder}/posts{night}"]
        return self._submit(job, *overrides, f"images={self.folder}/{images or f'images{night}'}", "report=null")

    def start_extraction(self, features: Path) -> subprocess.Popen:
        """The same for extract_features."""
        overrides = [f"images={self.folder}/images2", f"image_features={features}", "features.families=[color,lbp]"]
        return self._submit("jobs/extract_features.py", *overrides)

    def _submit(self, job: str, *overrides: str) -> subprocess.Popen:
        environment = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
        paths = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
        log4j = f"spark.driver.extraJavaOptions=-Dlog4j2.configurationFile={ROOT}/popspark/runtime/log4j2.properties"
        options = [
            log4j,
            "spark.ui.enabled=false",
            "spark.sql.shuffle.partitions=2",
            f"spark.executorEnv.PYTHONPATH={ROOT}",
        ]
        command = [str(SUBMIT), "--master", MASTER, "--py-files", str(self.package), "--executor-memory", "700m"]
        for option in options:
            command += ["--conf", option]
        command += [str(ROOT / job), f"env.warehouse={self.folder}", "lock_wait_seconds=30", *overrides]
        with self.log.open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=environment | paths, start_new_session=True
            )

    @property
    def log(self) -> Path:
        """What the last run said."""
        return self.folder / "run.log"

    def finish(self, process: subprocess.Popen) -> None:
        """For a run that nothing happens to."""
        code = process.wait(timeout=240)
        lines = [line for line in self.log.read_text("utf-8").splitlines() if not line.startswith(("\tat", "2"))]
        assert code == 0, "\n".join(lines[-60:])


def read(scores: Path) -> dict[str, tuple]:
    """The table as popspark reads it, by post; without what differs between runs of the same."""
    rows = read_arrow(str(scores)).to_pylist()
    assert len({row["post_id"] for row in rows}) == len(rows), "a post has two rows"
    names = ("status", "error", "model_name", "model_version", "input_hash", "posted_month")
    return {
        row["post_id"]: (None if row["score"] is None else round(row["score"], 6), *(row[name] for name in names))
        for row in rows
    }
