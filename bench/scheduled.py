"""What a nightly increment costs, by the job itself: a full run, then one with a hundredth more posts.

    python -m bench.scheduled [--posts 1000000] [--json FILE]

Posts of 50,000 users over three years, one photograph each, scored by models/demo-vscnn: five families, 1,894 values,
and point-in-time social values. Each run is a process of its own on two cores, and its time that of the whole process.
The fixed start is that of a process that does nothing but the imports, the session and a first task.

- from stored features: those of all posts are there (made up) for the full run and for the night;
- from photographs: the night's posts are new photographs, the sample's in their full size, each with bytes of its own,
  whose features the run computes. A full run of a million photographs takes hours, so it is ESTIMATED: the full run
  from stored features, and the night's seconds of scoring beyond those of the night from stored features, times 100.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from bench.scoring import BUNDLE, N_TASKS, ROOT, made_up_features, torch_scoring
from bench.table import Row, finish
from bench.timing import in_processes, timed

SHARE = 0.01
OPTIONS = {
    "spark.master": f"local[{N_TASKS}]",
    "spark.sql.shuffle.partitions": 8,
    "spark.ui.enabled": "false",
    "spark.driver.memory": "5g",
}
START = """
from popspark.runtime.session import get_session
spark = get_session("start", {options})
spark.range(1).count()
"""


def thumbnail(content: bytes) -> bytes:
    """The photograph with its long side at 64 px: what stands for a photograph that no run reads."""
    import cv2

    from popspark.images.decode import decode

    image = decode(content)
    scale = 64 / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small[:, :, ::-1])[1])


def append_posts(spark: Any, warehouse: Path, ids: range, days: range, n_users: int, contents: list[bytes]) -> Any:
    """Posts spread evenly over these days since 2022, with their images, each of other bytes; returns their frame."""
    from pyspark.sql import functions as F

    from popspark.storage.tables import IMAGE_BLOBS, POSTS

    images = spark.createDataFrame(list(enumerate(contents)), "position int, image binary")
    posts = spark.range(ids.start, ids.stop).withColumn("position", F.expr(f"int(id % {len(contents)})"))
    posts = posts.join(F.broadcast(images), "position")
    content = "concat(image, binary(string(id)))"  # what comes after a JPEG's end is not read
    day = f"{days.start} + (id - {ids.start}) * double({len(days)}) / {len(ids)}"
    known = {
        "post_id": "string(id)",
        "user_id": f"string(pmod(hash(id), {n_users}))",
        "posted_at": f"timestamp_seconds(1640995200 + 86400 * ({day}))",
        "collected_at": "timestamp'2025-02-01'",
        "n_views": "pmod(hash(id, 1), 10000)",
        "n_hashtags": "pmod(hash(id, 2), 12)",
        "image_id": "concat('i', id)",
        "sha256": f"sha2({content}, 256)",
        "content": content,
        "status": "'ok'",
        "origin": "'bench'",
        "is_simulated": "true",
    }
    for table in (POSTS, IMAGE_BLOBS):
        append(posts, warehouse / table.name, table, known)
    return posts.selectExpr("id", f"{known['image_id']} AS image_id", f"{known['sha256']} AS sha256")


def append(rows: Any, path: Path, table: Any, known: dict[str, str]) -> None:
    """rows in the shape of `table`; known: its columns as SQL, null where it has none."""
    from popspark.storage.writing import write_table

    columns = {name: f"cast({known.get(name, 'NULL')} AS {k.simpleString()})" for name, k in table.columns.items()}
    write_table(
        rows.selectExpr(*(f"{value} AS `{name}`" for name, value in columns.items())), table, str(path), "append"
    )


def run_job(warehouse: Path, what: str) -> dict[str, Any]:
    """The record of a run of the job, with the seconds of its whole process."""
    overrides = [f"env.spark.{name}={value}" for name, value in OPTIONS.items()]
    overrides += [f"env.warehouse={warehouse}", f"bundle={BUNDLE}", "report=null"]
    overrides += [f"image_features={warehouse}/image_features", f"metrics={warehouse}/metrics.json"]
    command = [sys.executable, "jobs/score_posts.py", *overrides]
    seconds = timed(lambda: subprocess.run(command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.DEVNULL))
    record = {**json.loads((warehouse / "metrics.json").read_text("utf-8")), "process_seconds": seconds}
    print(f"{what}: {seconds:.1f} s  {record['counts']}  {record['stage_seconds']}", flush=True)
    return record


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--json")
    args = parser.parse_args()

    from popspark.models.bundle import load_bundle
    from popspark.runtime.session import get_session
    from popspark.storage.tables import IMAGE_FEATURES
    from popspark.storage.writing import write_table

    n_posts, n_more = args.posts, int(args.posts * SHARE)
    photographs = [path.read_bytes() for path in sorted((ROOT / "sample" / "photos").glob("*.jpg"))]
    thumbnails = [thumbnail(content) for content in photographs]
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder)

        def extend(ids: range, days: range, contents: list[bytes], with_features: bool) -> None:
            spark = get_session("bench_scheduled", OPTIONS)
            images = append_posts(spark, warehouse, ids, days, max(n_posts // 20, 1), contents)
            if with_features:
                features = made_up_features(images, load_bundle(BUNDLE))
                write_table(features, IMAGE_FEATURES, str(warehouse / IMAGE_FEATURES.name), "append")
            spark.stop()

        start = [sys.executable, "-c", START.format(options=OPTIONS)]
        fixed = timed(lambda: subprocess.run(start, cwd=ROOT, env=environment(), check=True))
        extend(range(n_posts), range(1095), thumbnails, with_features=True)
        full = run_job(warehouse, "full run from stored features")
        extend(range(n_posts, n_posts + n_more), range(1095, 1096), thumbnails, with_features=True)
        night = run_job(warehouse, "night from stored features")
        extend(range(n_posts + n_more, n_posts + 2 * n_more), range(1096, 1097), photographs, with_features=False)
        from_photographs = run_job(warehouse, "night from photographs")
        n_each = min(n_posts, 200_000) // N_TASKS // 1024 * 1024
        plain = in_processes(partial(torch_scoring, folder=BUNDLE), [n_each] * N_TASKS)

    assert full["counts"]["ok"] == n_posts, full
    assert night["counts"]["ok"] == from_photographs["counts"]["ok"] == n_more, (night, from_photographs)
    extraction = from_photographs["stage_seconds"]["scoring"] - night["stage_seconds"]["scoring"]
    whole = full["process_seconds"] + extraction * n_posts / n_more
    what = f"a night of {n_more:,} more posts, without the fixed start, against a full run of {n_posts:,}"
    cost, cost_of_stored = (run["process_seconds"] - fixed for run in (from_photographs, night))
    rates = n_posts / full["stage_seconds"]["scoring"], n_each * N_TASKS / plain
    rows = [
        Row(f"{what} (estimated): from photographs", cost, whole, "s", 0.03, False),
        Row(f"{what}: from stored features", cost_of_stored, full["process_seconds"], "s", 0.03, False),
        Row(f"{n_posts:,} posts scored from stored features, against torch", *rates, "rows/s", 0.7, True),
    ]
    finish("Scheduled", rows, args.json, [f"The fixed start (imports, session, first task) takes {fixed:.1f} s."])


if __name__ == "__main__":
    main()
