"""From measured images a second to hours and money for a hundred million images.

    python -m bench.extraction --json warehouse/bench/extraction.json      # measures, once
    python -m bench.cost [--cores 64] [--price-per-core-hour 0.05]
    python -m bench.cost --gpu-images-per-second RATE [--gpus 8] [--cores-per-gpu 8] [--price-per-gpu-hour 1.0]

CPU: hours = images / (images a second and core * cores * 3,600); cost = hours * cores * price.
GPU: an executor with one GPU and c cores makes min(RATE, c * classical images a second and core), for the cores decode
and compute the classical families while the GPU runs the deep ones; then as above. RATE is yours to measure: of the
deep families alone, on your GPU. This project has measured none.

Prices are assumptions, not measurements: put your own in. Start of the cluster, reading and writing are not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

CLASSICAL = "all classical families, per core"
WHOLE = "the whole job, {}, 2 cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=Path("warehouse/bench/extraction.json"))
    parser.add_argument("--images", type=int, default=100_000_000)
    parser.add_argument("--cores", type=int, default=64)
    parser.add_argument("--price-per-core-hour", type=float, default=0.05)
    parser.add_argument("--gpu-images-per-second", type=float)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--cores-per-gpu", type=int, default=8)
    parser.add_argument("--price-per-gpu-hour", type=float, default=1.0)
    args = parser.parse_args()
    if not args.measured.is_file():
        sys.exit(f"{args.measured} is not there: run python -m bench.extraction --json {args.measured} first")
    found = json.loads(args.measured.read_text("utf-8"))
    rates = {row["what"]: row["measured"] for row in found["rows"]}

    print(f"{args.images:,} images; measured on {found['machine']}; prices are assumptions, in dollars")
    print(f"{'on CPUs':<34}{'images/s/core':>14}{'core-hours':>13}{f'hours on {args.cores}':>14}{'cost':>11}")
    for what in ("demo-vscnn's families", "all families"):
        rate = rates[WHOLE.format(what)] / 2
        core_hours = args.images / rate / 3600
        cost = core_hours * args.price_per_core_hour
        print(f"{what:<34}{rate:>14.2f}{core_hours:>13,.0f}{core_hours / args.cores:>14,.1f}{cost:>11,.0f}")
    fed = args.cores_per_gpu * rates[CLASSICAL]
    print(f"on GPUs: {args.cores_per_gpu} cores feed at most {fed:,.1f} images/s (decoded, with classical families)")
    if args.gpu_images_per_second is None:
        print("  no GPU was measured: give --gpu-images-per-second")
        return
    rate = min(args.gpu_images_per_second, fed)
    hours = args.images / (rate * args.gpus * 3600)
    price = args.price_per_gpu_hour + args.cores_per_gpu * args.price_per_core_hour
    slower = "its cores" if fed < args.gpu_images_per_second else "the GPU"
    print(f"  an executor makes {rate:,.1f} images/s, held back by {slower}")
    print(f"  {args.gpus} executors: {hours:,.1f} hours, cost {hours * args.gpus * price:,.0f}")


if __name__ == "__main__":
    main()
