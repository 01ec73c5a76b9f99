"""Deep extraction inside the job, scoring from stored features, and a worker's memory: ratios in one run.

    python -m bench.scoring [--photos FOLDER] [--posts 100000] [--json FILE]

All on two threads: two Spark tasks of one thread, against plain torch in two processes of one thread.
Scoring's times are the shortest of three, of which the first ones still find the JVM compiling.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import Row, finish
from bench.tables import index_contents
from bench.timing import best_seconds, in_processes, timed

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "demo-vscnn"
FAMILY = "efficientnet_lite0"
N_TASKS = 2


def photographs(folder: Path | None) -> list[bytes]:
    """The shared photographs where they are, else the sample's, as bytes."""
    shared = ROOT.parent / "shared" / "data" / "photos"
    folder = folder or (shared if shared.is_dir() else ROOT / "sample" / "photos")
    return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]


def torch_extraction(contents: list[bytes]) -> float:
    """Seconds of a plain loop on one thread: decode, crop, forward, by 16 images. Weights are loaded before."""
    import torch

    from popspark.images.decode import decode
    from popspark.networks.inference import load_features
    from popspark.networks.weights import find_weights

    torch.set_num_threads(1)
    weights = find_weights(FAMILY)
    features = load_features(FAMILY, weights.path, weights.sha256, "cpu", "float32", 16)
    features([decode(content) for content in contents[:16]])  # warm
    start = time.perf_counter()
    for first in range(0, len(contents), 16):
        features([decode(content) for content in contents[first : first + 16]])
    return time.perf_counter() - start


def torch_scoring(n_rows: int, folder: Path = BUNDLE) -> float:
    """Seconds of the plain forward pass of a bundle from stored features: reduction and network, on one thread."""
    import torch

    from popspark.models.bundle import load_bundle
    from popspark.networks.vscnn import PopularityCNN

    torch.set_num_threads(1)
    bundle = load_bundle(folder)
    reductions = {
        name: [torch.from_numpy(values) for values in vars(bundle.reductions[name]).values()]
        for name in ("visual", "social")
    }
    network = PopularityCNN({name: tuple(shape) for name, shape in bundle.manifest["network"]["towers"].items()}).eval()
    inputs = {name: torch.randn(1024, len(center)) for name, (center, *_) in reductions.items()}

    def reduce(name: str) -> Any:
        center, scale, components, mean, deviation = reductions[name]
        return ((((inputs[name] - center) / scale) @ components.T) - mean) / deviation

    def score() -> None:
        with torch.inference_mode():
            network({name: reduce(name) for name in inputs})

    score()
    start = time.perf_counter()
    for _ in range(n_rows // 1024):
        score()
    return time.perf_counter() - start


def _load_peak() -> Callable[..., Any]:
    """A stand-in family: its one value is its worker's peak memory so far, in MB."""
    import resource

    return lambda images: np.full((1, 1), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, np.float32)


def extraction_rows(spark: Any, contents: list[bytes], work: Path) -> list[Row]:
    """The job against the plain loop; and the workers' peak, which a reused worker keeps, so the small table first."""
    from popspark.features.extraction import Extraction, extract_features
    from popspark.features.family import Family
    from popspark.features.plan import PlannedFamily, plan_features
    from popspark.features.settings import FeatureSettings

    planned = plan_features(FeatureSettings(families=(FAMILY,)))
    # Read by a job of its own in the same workers: images are prepared ahead of the passes that make the peak.
    watch = Extraction((PlannedFamily(Family("peak", "1", 1, _load_peak), "1"),), "cpu", 16)
    tables = {n_images: index_contents(spark, contents, n_images, N_TASKS, work) for n_images in (300, 3000)}
    peaks = {}
    for n_images, path in tables.items():
        extracted = extract_features(spark.read.parquet(path), Extraction(planned, "cpu", 16))
        extracted.write.format("noop").mode("overwrite").save()
        few = spark.read.parquet(tables[300])
        peaks[n_images] = extract_features(few, watch).selectExpr("max(features.peak[0])").first()[0]
    features = extract_features(spark.read.parquet(tables[3000]), Extraction(planned, "cpu", 16))
    seconds = timed(lambda: features.write.format("noop").mode("overwrite").save())
    shares = [[contents[n % len(contents)] for n in range(k, 3000, N_TASKS)] for k in range(N_TASKS)]
    plain = in_processes(torch_extraction, shares)
    return [
        Row(f"{FAMILY} in the job, against a torch loop", 3000 / seconds, 3000 / plain, "images/s", 0.85, True),
        Row("peak memory of a worker, 3,000 against 300 images", peaks[3000], peaks[300], "MB", 1.05, False),
    ]


def made_up_features(images: Any, bundle: Any) -> Any:
    """Values of the bundle's families for images (id, image_id, sha256): rows of image_features, by one write."""

    def row(feature: dict[str, Any]) -> str:
        values = f"transform(sequence(1, {feature['dim']}), x -> float(hash(id, x) / 2147483648D))"
        texts = f"'{feature['name']}' AS family, '{feature['version']}' AS version"
        return f"struct({texts}, {values} AS values, 'ok' AS status, string(null) AS error)"

    rows = ", ".join(row(feature) for feature in bundle.manifest["features"])
    return images.selectExpr("image_id", "sha256", f"inline(array({rows}))")


def scoring_row(spark: Any, n_posts: int, work: Path) -> Row:
    """Scores from stored features against the forward pass from arrays in memory, on as many threads."""
    from pyspark.sql import functions as F

    from popspark.features.projection import gather_projections
    from popspark.features.stored_files import collect_ids
    from popspark.features.stored_projections import project_stored
    from popspark.models.bundle import load_bundle
    from popspark.models.shipping import ship_bundle
    from popspark.scoring.inputs import scoring_inputs
    from popspark.scoring.scoring import score_posts
    from popspark.storage.tables import IMAGE_FEATURES
    from popspark.storage.writing import write_table

    bundle = load_bundle(BUNDLE)
    ship_bundle(spark, bundle)
    ids = spark.range(n_posts)
    times = ["now() AS collected_at", "timestamp'2024-01-01' AS posted_at"]
    ids.selectExpr("string(id) AS post_id", "concat('i', id) AS image_id", *times).write.parquet(str(work / "posts"))
    ids.selectExpr("concat('i', id) AS image_id", "'s' AS sha256", "'ok' AS status").write.parquet(str(work / "images"))
    images = ids.selectExpr("id", "concat('i', id) AS image_id", "'s' AS sha256")
    write_table(made_up_features(images, bundle), IMAGE_FEATURES, str(work / "features"))
    social = (F.rand(n).alias(name) for n, name in enumerate(bundle.manifest["social"]["names"]))
    ids.select(F.expr("string(id) AS post_id"), *social).write.parquet(str(work / "social"))
    names = ("posts", "images", "social", "features")
    posts, images, values, features = (spark.read.parquet(str(work / name)) for name in names)

    def score() -> None:
        inputs = scoring_inputs(posts, images, values, bundle)
        found = gather_projections(project_stored(features, collect_ids(posts), bundle), bundle)
        score_posts(inputs, found, bundle, "r1").write.format("noop").mode("overwrite").save()

    seconds = best_seconds(score)
    n_each = n_posts // N_TASKS // 1024 * 1024
    plain = min(in_processes(torch_scoring, [n_each] * N_TASKS) for _ in range(3))
    what = f"{n_posts:,} posts scored from stored features, against torch"
    return Row(what, n_posts / seconds, n_each * N_TASKS / plain, "rows/s", 0.7, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--posts", type=int, default=100_000, help="to score from stored features")
    parser.add_argument("--json")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    from popspark.runtime.session import get_session

    work = Path(tempfile.mkdtemp())
    options = {
        "spark.master": f"local[{N_TASKS}]",
        "spark.sql.shuffle.partitions": N_TASKS,
        "spark.ui.enabled": "false",
    }
    spark = get_session("bench_scoring", {**options, "spark.driver.memory": "4g"})
    rows = extraction_rows(spark, photographs(args.photos), work)
    rows.append(scoring_row(spark, args.posts, work))
    finish("Scoring", rows, args.json)


if __name__ == "__main__":
    main()
