"""Nightly runs that are hurt at random points, and how many ended with the right table.

    python -m bench.faults [--trials 20] [--seed 0] [--kinds worker,executor,...] [--json FILE]

Each trial runs on a local-cluster of two executors: a Python worker, an executor, the driver or all of them are killed
(SIGKILL), the disk is full, or images crash the decoder. Right is: after the fault the old table or the new one, and
after the next run the table of an undisturbed run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.faults.nights import Warehouse
from bench.faults.trials import KINDS, trial
from bench.table import Row, finish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--json")
    args = parser.parse_args()

    kinds = args.kinds.split(",")
    n_right, n_tried = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse.make(Path(folder))
        for n in range(args.trials):
            kind = kinds[n % len(kinds)]
            wrong = trial(warehouse, kind, args.seed + n)
            n_tried[kind] += 1
            n_right[kind] += not wrong
            print(f"{n + 1:>3} {kind:<10}{'right' if not wrong else '; '.join(wrong)}", flush=True)
    rows = [
        Row(f"right after a fault of kind {kind}", n_right[kind], n_tried[kind], "runs", 1.0, True)
        for kind in kinds
        if n_tried[kind]
    ]
    rows.append(Row("right after a fault", sum(n_right.values()), sum(n_tried.values()), "runs", 1.0, True))
    finish("Faults", rows, args.json)


if __name__ == "__main__":
    main()
