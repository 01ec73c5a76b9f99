"""All visual features: exactness costs nothing if it is fast. Ratios in one run.

    python -m bench.extraction [--images 60] [--memory-images 10000] [--json FILE]

Reads ../shared/data/photos where present, else sample/photos. VGG19 and ResNet-50 run with random weights: the same
arithmetic, features that mean nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.classical import (
    classical_rows,
    make_12_megapixels,
    read_photographs,
    reduced_decode_effects,
    reduced_decode_rows,
)
from bench.table import Row, finish
from bench.tables import index_contents
from bench.timing import best_seconds, in_processes, timed

FAMILIES = ("color", "lbp", "gist", "aesthetic", "vgg19", "resnet50", "efficientnet_lite0")
RANDOM = ("vgg19", "resnet50")
DEMO = ("color", "lbp", "gist", "aesthetic", "efficientnet_lite0")
BATCH = 16
ROOT = Path(__file__).resolve().parents[1]


def vgg19_rows(contents: Sequence[bytes], n_threads: int) -> tuple[list[Row], str]:
    """VGG19 as popspark runs it, against what people write first and against the best plain loop; and a note."""
    import torch
    from torchvision.models import vgg19

    from popspark.images.decode import decode
    from popspark.networks.backbones import BACKBONES, to_input
    from popspark.networks.inference import BackboneFeatures

    torch.set_num_threads(n_threads)
    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    kind = "bfloat16" if has_bf16 else "float32"
    ours = BackboneFeatures(BACKBONES["vgg19"], None, "cpu", kind, BATCH)
    crops = [ours.prepare(decode(content)) for content in contents[:BATCH]]
    network = vgg19().eval()
    network.classifier = network.classifier[:5]
    batch = to_input(crops, BACKBONES["vgg19"], torch.device("cpu"), torch.float32).contiguous()
    with torch.inference_mode():
        first = best_seconds(lambda: [network(batch[n : n + 1]) for n in range(4)]) / 4
        network.to(memory_format=torch.channels_last)
        if has_bf16:
            network.bfloat16()
        best_input = batch.to(memory_format=torch.channels_last).to(next(network.parameters()).dtype)
        # In turn, for a virtual machine's speed drifts by more than the two differ.
        turns = [(best_seconds(lambda: network(best_input), 1), best_seconds(lambda: ours.forward(crops), 1))]
        turns += [(timed(lambda: network(best_input)), timed(lambda: ours.forward(crops))) for _ in range(8)]
    best, measured = (min(seconds) / BATCH for seconds in zip(*turns, strict=True))
    square = torch.randn(2048, 2048)
    rough = square.to(torch.bfloat16 if has_bf16 else torch.float32)
    slow, fast = (best_seconds(lambda: torch.mm(square, square)), best_seconds(lambda: torch.mm(rough, rough)))
    note = (
        f"VGG19 was measured in {kind}: this processor has {'' if has_bf16 else 'no '}bfloat16. A large matrix product "
        f"in {kind} is {slow / fast:.2f} times as fast as in float32, which bounds its first ratio."
    )
    return [
        Row(f"vgg19 ({kind}) against fp32, batch 1, contiguous", 1 / measured, 1 / first, "images/s", 3.0, True),
        Row(f"vgg19 against the best plain loop ({kind})", 1 / measured, 1 / best, "images/s", 0.95, True),
    ], note


def _plan(families: tuple[str, ...]) -> Any:
    from popspark.features.plan import plan_features
    from popspark.features.settings import FeatureSettings

    weights = {name: "random" for name in RANDOM if name in families}
    return plan_features(FeatureSettings(families=families, weights=weights, device="cpu"))


def families_alone(given: tuple[tuple[str, ...], Sequence[bytes]]) -> float:
    """Seconds of the decode and of each family by itself, one after the other, on one thread."""
    import cv2
    import torch

    from popspark.images.decode import decode

    families, contents = given
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    images = [decode(content) for content in contents]
    seconds = best_seconds(lambda: [decode(content) for content in contents], 1)
    for family in _plan(families):
        calculate = family.load("cpu", family.weights_path)
        batches = [images[n : n + BATCH] for n in range(0, len(images), BATCH)]
        seconds += best_seconds(lambda run=calculate, rows=batches: [run(batch) for batch in rows], 1)
    return seconds


def whole_job_row(spark: Any, contents: Sequence[bytes], families: tuple[str, ...], what: str, work: Path) -> Row:
    """The job with these families on two cores, against its parts alone on as many, each with half the images."""
    from popspark.features.extraction import Extraction, extract_features

    alone = in_processes(families_alone, [(families, contents[::2]), (families, contents[1::2])])
    table = spark.read.parquet(index_contents(spark, contents, len(contents), 2, work))
    features = extract_features(table, Extraction(_plan(families), "cpu", BATCH))
    whole = best_seconds(lambda: features.write.format("noop").mode("overwrite").save(), 1)
    rates = len(contents) / whole, len(contents) / alone
    return Row(f"the whole job, {what}, 2 cores", *rates, "images/s", 0.909, at_least=True)


def memory_row(spark: Any, contents: Sequence[bytes], n_images: int, work: Path) -> Row:
    """The peak of the workers, which they keep: after 100 images, and after many."""
    from popspark.features.extraction import Extraction, extract_features
    from popspark.features.family import Family
    from popspark.features.plan import PlannedFamily, plan_features
    from popspark.features.settings import FeatureSettings

    def load() -> Callable[..., Any]:
        import resource

        return lambda images: np.full((1, 1), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, np.float32)

    planned = plan_features(FeatureSettings(families=("color", "lbp", "efficientnet_lite0"), device="cpu"))
    # Read by a job of its own in the same workers: images are prepared ahead of the passes that make the peak.
    watch = Extraction((PlannedFamily(Family("peak", "1", 1, load), "1"),), "cpu", BATCH)
    few = spark.read.parquet(index_contents(spark, contents, 100, 2, work))
    peaks = []
    for n in (100, n_images):
        images = few if n == 100 else spark.read.parquet(index_contents(spark, contents, n, 2, work))
        extract_features(images, Extraction(planned, "cpu", BATCH)).write.format("noop").mode("overwrite").save()
        peaks.append(extract_features(few, watch).selectExpr("max(features.peak[0])").first()[0])
    return Row(f"peak memory of a worker, {n_images:,} images against 100", peaks[1], peaks[0], "MB", 1.05, False)


def bfloat16_effect(contents: Sequence[bytes]) -> str:
    """What bfloat16 moves: the cosine of the features, and the released bundle's score of the same posts."""
    from popspark.features.plan import plan_features
    from popspark.features.settings import FeatureSettings
    from popspark.images.decode import decode
    from popspark.models.bundle import load_bundle
    from popspark.models.predictor import Predictor

    images = [decode(content) for content in contents]
    predictor = Predictor(load_bundle(ROOT / "models" / "demo-vscnn"))
    social = np.zeros((len(images), 34))
    features, scores = [], []
    for dtype in ("float32", "bfloat16"):
        settings = FeatureSettings(families=tuple(predictor.bundle.feature_versions), dtype=dtype, device="cpu")
        values = {p.name: p.load("cpu", p.weights_path)(images) for p in plan_features(settings)}
        features.append(values["efficientnet_lite0"])
        scores.append(predictor.score(sum(predictor.project(name, x) for name, x in values.items()), social))
    norms = np.linalg.norm(features[0], axis=1) * np.linalg.norm(features[1], axis=1)
    cosine = (features[0] * features[1]).sum(axis=1) / norms
    moved = np.abs(scores[1] - scores[0])
    return (
        f"bfloat16 against float32: the cosine of efficientnet_lite0 is {cosine.mean():.5f}, at least "
        f"{cosine.min():.5f}; demo-vscnn's score moves by {moved.mean():.3f}, at most {moved.max():.3f}, where scores "
        f"deviate by {scores[0].std():.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--large-images", type=int, default=6)
    parser.add_argument("--memory-images", type=int, default=10_000)
    parser.add_argument("--json")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    from popspark.features.plan import plan_features
    from popspark.features.settings import FeatureSettings
    from popspark.runtime.session import get_session

    work = Path(tempfile.mkdtemp())
    options = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": 2, "spark.ui.enabled": "false"}
    spark = get_session("bench_extraction", {**options, "spark.driver.memory": "4g"})
    contents = read_photographs(args.images)
    memory = memory_row(spark, contents, args.memory_images, work)  # first, while the workers are fresh
    large = make_12_megapixels(contents[: args.large_images])
    of_vgg19, note = vgg19_rows(contents, 1)
    rows = [*classical_rows(contents), *of_vgg19]
    rows.append(whole_job_row(spark, contents, FAMILIES, "all families", work))
    # Five times the images: a job's start is no part of what an image costs, and these families are soon done.
    rows.append(whole_job_row(spark, contents * 5, DEMO, "demo-vscnn's families", work))
    rows += [*reduced_decode_rows(large), memory]
    true = plan_features(FeatureSettings(families=DEMO))
    effects = [
        f"The reduced decode moves {effect.family} by at most {effect.max_abs:.3g}; cosine {effect.mean_cosine:.5f}, "
        f"at least {effect.min_cosine:.5f}."
        for effect in reduced_decode_effects(large, {p.name: p.load("cpu", p.weights_path) for p in true})
    ]
    finish("Extraction", rows, args.json, [note, *effects, bfloat16_effect(contents[:32])])


if __name__ == "__main__":
    main()
