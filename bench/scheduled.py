"""What a nightly increment costs, by the job itself: a full run, then one with a hundredth more posts.

    python bench/scheduled.py [--posts 1000000] [--json FILE]

Posts of 50,000 users over three years, one photograph each: the sample's, made 64 px small; a VSCNN over `color`,
untrained, with point-in-time social values. Once from the photographs, whose features are computed on the way, and
once from stored features. Larger photographs and deep families make a full run longer, and a night's share smaller.
Each run is a process of its own on two cores. The fixed start is that of a process that does nothing but the imports,
the session and a first task.
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

import numpy as np
from scoring import N_TASKS, ROOT, in_processes, timed, torch_scoring
from table import Row, finish

SHARE = 0.01
PHOTOGRAPHS, STORED = "photographs", "stored features"
OPTIONS = {
    "spark.master": f"local[{N_TASKS}]",
    "spark.sql.shuffle.partitions": 8,
    "spark.ui.enabled": "false",
    "spark.driver.memory": "5g",
}
START = """
import sys
sys.path.insert(0, "jobs")
import score_posts
spark = score_posts.get_session("start", {options})
spark.range(1).count()
"""


def write_bundle(folder: Path) -> None:
    """An untrained VSCNN over `color`: what a forward pass costs does not depend on its parameters."""
    import torch

    from popspark.bundle import Bundle, Reduction, write_bundle
    from popspark.extractor import FeatureSettings, plan_features
    from popspark.networks.vscnn import TOWERS, PopularityCNN
    from popspark.tables import SOCIAL_NAMES

    (color,) = plan_features(FeatureSettings(families=("color",)))
    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    network = {name: value.numpy() for name, value in PopularityCNN(TOWERS["vscnn"]).state_dict().items()}
    reductions = {}
    for name, n_in, n_out in (("visual", 32, 20), ("social", 34, 14)):
        parts = np.zeros(n_in), np.ones(n_in), generator.normal(size=(n_out, n_in)), np.zeros(n_out), np.ones(n_out)
        reductions[name] = Reduction(*(np.asarray(part, np.float32) for part in parts))
    manifest = {
        "name": "bench",
        "version": "1",
        "kind": "vscnn",
        "network": {"towers": TOWERS["vscnn"]},
        "features": [{"name": "color", "version": color.version, "dim": 32, "weights": None}],
        "feature_settings": {"dtype": "float32"},
        "social": {"mode": "point_in_time", "names": list(SOCIAL_NAMES)},
        "is_simulated": True,
    }
    write_bundle(Bundle(manifest, network, reductions, np.linspace(-1, 1, 1001)), folder, "For benches.")


def thumbnails() -> list[bytes]:
    """The sample's photographs, 64 px on the long side, as JPEG."""
    import cv2

    from popspark.images import decode

    contents = []
    for path in sorted((ROOT / "sample" / "photos").glob("*.jpg")):
        image = decode(path.read_bytes())
        scale = 64 / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        contents.append(cv2.imencode(".jpg", small[:, :, ::-1])[1].tobytes())
    return contents


def append_posts(spark: Any, warehouse: Path, ids: range, days: range, n_users: int, version: str) -> None:
    """Posts spread evenly over these days since 2022, with their images, each of other bytes, and features."""
    from pyspark.sql import functions as f

    from popspark.tables import IMAGE_FEATURES, IMAGES, POSTS
    from popspark.warehouse import write_table

    contents = thumbnails()
    photographs = spark.createDataFrame(list(enumerate(contents)), "place int, photograph binary")
    posts = spark.range(ids.start, ids.stop).withColumn("place", f.expr(f"int(id % {len(contents)})"))
    posts = posts.join(f.broadcast(photographs), "place")
    content = "concat(photograph, binary(string(id)))"  # what comes after a JPEG's end is not read
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
        "family": "'color'",
        "version": f"'{version}'",
        "values": "transform(sequence(1, 32), x -> float(pmod(hash(id, x), 1000) / 1000D))",
    }
    for table in (POSTS, IMAGES, IMAGE_FEATURES):
        columns = {name: f"cast({known.get(name, 'NULL')} AS {k.simpleString()})" for name, k in table.columns.items()}
        rows = posts.selectExpr(*(f"{value} AS `{name}`" for name, value in columns.items()))
        write_table(rows, table, str(warehouse / table.name), "append")


def run_job(warehouse: Path, source: str) -> dict[str, Any]:
    """The record of a run of the job, with the seconds of its whole process."""
    stored = f"{warehouse}/image_features" if source == STORED else "null"
    overrides = [f"env.spark.{name}={value}" for name, value in OPTIONS.items()]
    overrides += [f"env.warehouse={warehouse}", f"bundle={warehouse}/bundle", "report=null"]
    overrides += [
        f"image_features={stored}",
        f"scores={warehouse}/scores_of_{source.split()[0]}",
        f"metrics={warehouse}/metrics.json",
    ]
    command = [sys.executable, "jobs/score_posts.py", *overrides]
    seconds = timed(lambda: subprocess.run(command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.DEVNULL))
    return {**json.loads((warehouse / "metrics.json").read_text()), "process_seconds": seconds}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--json")
    args = parser.parse_args()

    from popspark.bundle import load_bundle
    from popspark.session import get_session

    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder)
        write_bundle(warehouse / "bundle")
        version = load_bundle(warehouse / "bundle").feature_versions["color"]
        n_users, n_more = max(args.posts // 20, 1), int(args.posts * SHARE)
        spark = get_session("bench_scheduled", OPTIONS)
        append_posts(spark, warehouse, range(args.posts), range(1095), n_users, version)
        spark.stop()
        start = [sys.executable, "-c", START.format(options=OPTIONS)]
        fixed = timed(lambda: subprocess.run(start, cwd=ROOT, env=environment(), check=True))
        full = {source: run_job(warehouse, source) for source in (PHOTOGRAPHS, STORED)}
        spark = get_session("bench_scheduled", OPTIONS)
        append_posts(spark, warehouse, range(args.posts, args.posts + n_more), range(1095, 1096), n_users, version)
        spark.stop()
        night = {source: run_job(warehouse, source) for source in full}
        n_each = min(args.posts, 200_000) // N_TASKS // 1024 * 1024
        plain = in_processes(partial(torch_scoring, folder=warehouse / "bundle"), [n_each] * N_TASKS)

    print(f"fixed start (imports, session, first task)  {fixed:.1f} s")
    rows = []
    for source in full:
        for name, run in (("full run", full[source]), ("increment", night[source])):
            print(f"{name} from {source}: {run['process_seconds']:.1f} s  {run['counts']}  {run['stage_seconds']}")
        assert (full[source]["counts"]["ok"], night[source]["counts"]["ok"]) == (args.posts, n_more), "other posts"
        what = f"a night of {n_more:,} more posts from {source}, without the fixed start, against the full run"
        cost = max(night[source]["process_seconds"] - fixed, 0.0)
        rows.append(Row(what, cost, full[source]["process_seconds"], "s", 0.03, False))
    what = f"{args.posts:,} posts scored by the job from stored features, against torch"
    rate = args.posts / full[STORED]["stage_seconds"]["scoring"]
    rows.append(Row(what, rate, n_each * N_TASKS / plain, "rows/s", 0.7, True))
    finish("Scheduled", rows, args.json)


if __name__ == "__main__":
    main()
