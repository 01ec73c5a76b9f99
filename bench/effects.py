"""That VSCNN learns what is there: its rho against a perfect model's, on simulated posts over real photographs.

    python -m bench.effects [--posts 10000] [--json FILE]

The truth beside each simulated post says how well a perfect model would rank the test split, and how well one that
sees the user and the time only (scnn), or the picture only (vcnn). On pure noise the 95 % interval of rho must hold 0:
the last row is rho against half the width of its interval.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.known_effects import EFFECTS, FIT, NOISE, read_images, write_examples
from bench.table import Row, finish
from popspark.runtime.session import get_session
from popspark.training.cnn import train_cnn
from popspark.training.settings import CnnSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--json")
    args = parser.parse_args()
    options = {"spark.master": "local[2]", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": 4}
    spark = get_session("bench_effects", options)
    sample = read_images(spark)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        limits = write_examples(spark, sample, EFFECTS, args.posts, work / "effects")
        write_examples(spark, sample, NOISE, args.posts, work / "noise")
        for architecture, limit in limits.items():
            fitted = train_cnn(work / "effects", work / architecture, CnnSettings(architecture=architecture, fit=FIT))
            rho = fitted.metrics["test"]["spearman_rho"].value
            rows.append(Row(f"{architecture}, against a perfect model of what it sees", rho, limit, "rho", 0.95, True))
        rho = train_cnn(work / "noise", work / "nothing", CnnSettings(fit=FIT)).metrics["test"]["spearman_rho"]
        half_width = (rho.high - rho.low) / 2
        rows.append(Row("vscnn on noise, against half its interval", abs(rho.value), half_width, "rho", 1, False))
    finish(f"What is learned of {args.posts:,} simulated posts", rows, args.json)


if __name__ == "__main__":
    main()
