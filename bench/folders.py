"""Ordinary folders of photographs through the main jobs, at Spark's default memory (a driver of 1 GB) on two cores.

    python -m bench.folders

Each folder is indexed, its features extracted (all classical families and EfficientNet-Lite0) and scored with the
released bundle, by three processes as a user starts them. Each must end well. A worker's peak is the largest resident
memory of any Python worker, sampled while the job runs; cores busy are the processor seconds of its workers and its JVM
over the seconds of the extraction.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import psutil
from PIL import Image

from bench.table import Row, finish

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = sorted((ROOT / "sample" / "photos").glob("*.jpg"))
MAX_WORKER_MB, MIN_CORES = 1500, 1.5
SAMPLE_SECONDS = 0.2


def photographs(n: int, size: tuple[int, int], n_different: int = 10) -> Iterator[bytes]:
    """The sample's photographs at that size as JPEG; those beyond the first few differ in bytes behind their end."""
    contents = []
    for path in PHOTOS[:n_different]:
        stream = BytesIO()
        Image.open(path).convert("RGB").resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=95)
        contents.append(stream.getvalue())
    for i in range(n):
        yield contents[i % len(contents)] + i.to_bytes(4, "big")


def write_folder(folder: Path, contents: Iterator[bytes]) -> None:
    folder.mkdir()
    for i, content in enumerate(contents):
        (folder / f"{i:05}.jpg").write_bytes(content)


def one_large(n: int) -> Iterator[bytes]:
    """One file of nearly 50 MB, the limit, among others of 12 megapixels."""
    yield from photographs(n - 1, (4000, 3000))
    (content,) = photographs(1, (6000, 4000), 1)
    yield content.ljust(49_900_000, b"\0")


@dataclass
class Watched:
    """A job that ran. peak_mb: of one Python worker. cpu_seconds: by process."""

    seconds: float = 0.0
    peak_mb: float = 0.0
    cpu_seconds: dict[int, float] = field(default_factory=dict)

    @property
    def cores(self) -> float:
        return sum(self.cpu_seconds.values()) / self.seconds


def watch(command: list[str], log: Path) -> Watched:
    """Runs the command and looks at its processes until it ends; raises where its exit code is not 0."""
    watched, start = Watched(), time.perf_counter()
    with (
        log.open("w", encoding="utf-8") as stream,
        subprocess.Popen(command, stdout=stream, stderr=stream, cwd=ROOT) as job,
    ):
        while job.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process(job.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        times = process.cpu_times()
                        watched.cpu_seconds[process.pid] = times.user + times.system
                        if process.name().startswith("python"):
                            watched.peak_mb = max(watched.peak_mb, process.memory_info().rss / 1e6)
            time.sleep(SAMPLE_SECONDS)
    watched.seconds = time.perf_counter() - start
    if job.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {job.returncode}\n{log.read_text('utf-8')[-3000:]}")
    return watched


def run_folder(work: Path, name: str, contents: Iterator[bytes]) -> tuple[list[Row], str]:
    """The rows of one folder, and a sentence with its seconds."""
    folder = work / "photographs"
    write_folder(folder, contents)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    env = ["env.spark.spark.master=local[2]", f"env.warehouse={work / 'warehouse'}"]
    jobs = {
        "ingest_images": [f"source={folder}"],
        "extract_features": [],
        "score_posts": [
            "bundle=models/demo-vscnn",
            "posts=null",
            f"image_features={work / 'warehouse/image_features'}",
        ],
    }
    found = {
        job: watch([sys.executable, f"jobs/{job}.py", *env, *settings], work / "log") for job, settings in jobs.items()
    }
    peak = max(watched.peak_mb for watched in found.values())
    extraction = found["extract_features"]
    seconds = ", ".join(f"{job} {watched.seconds:.0f} s" for job, watched in found.items())
    rows = [
        Row(f"{name}: a worker's peak", peak, MAX_WORKER_MB, "MB", 1, at_least=False),
        Row(f"{name}: cores busy in extraction, of 2", extraction.cores, 2, "", MIN_CORES / 2, at_least=True),
    ]
    return rows, f"{name}, {n_bytes / 1e6:,.0f} MB: {seconds}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of each folder's images (%(default)s)")
    parser.add_argument("--json")
    args = parser.parse_args()

    def some(n: int) -> int:
        return max(2, round(n * args.share))

    folders = {
        f"{some(300):,} of 24 megapixels": lambda: photographs(some(300), (6000, 4000)),
        f"{some(200):,} of 12 megapixels": lambda: photographs(some(200), (4000, 3000)),
        f"{some(10_000):,} of 320 x 240": lambda: photographs(some(10_000), (320, 240), len(PHOTOS)),
        f"one of 50 MB among {some(200):,} of 12 megapixels": lambda: one_large(some(200)),
    }
    rows: list[Row] = []
    notes: list[str] = []
    for name, contents in folders.items():
        with tempfile.TemporaryDirectory() as work:
            found, note = run_folder(Path(work), name, contents())
        print(note, flush=True)
        rows += found
        notes.append(note)
    finish("Folders of photographs at Spark's default memory, 2 cores", rows, args.json, notes)


if __name__ == "__main__":
    main()
