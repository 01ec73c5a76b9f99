"""Write the golden vectors of every family that needs no weights again, and print how far each has moved.

    PYTHONPATH=. python tests/golden/regenerate.py

Reads: tests/golden/pictures.py. Writes: tests/golden/<family>.json. A vector that moves asks for a new version of its
family.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from popspark.features.family import Family
from popspark.features.registry import REGISTRY, get_family
from tests.golden.pictures import golden_pictures

FOLDER = Path(__file__).parent


def golden_path(family: Family) -> Path:
    return FOLDER / f"{family.name}.json"


def read_golden(family: Family) -> dict[str, list[float]]:
    """The golden vector of each picture; a version that differs from the family's has none."""
    path = golden_path(family)
    golden = json.loads(path.read_text()) if path.exists() else {"version": None}
    return golden["vectors"] if golden["version"] == family.version else {}


def main() -> None:
    pictures = golden_pictures()
    for name in REGISTRY:
        family = get_family(name)
        if family.weights is not None:
            continue
        before = read_golden(family)
        values = dict(zip(pictures, family.load()(list(pictures.values())), strict=True))
        for picture, vector in values.items():
            moved = float(np.abs(vector - np.float32(before[picture])).max()) if picture in before else None
            print(f"{name:<10} {picture:<6} {'new' if moved is None else f'moved by {moved:.2e}'}")
        vectors = {picture: [float(f"{value:.9g}") for value in vector] for picture, vector in values.items()}
        golden_path(family).write_text(json.dumps({"version": family.version, "vectors": vectors}, indent=1) + "\n")


if __name__ == "__main__":
    main()
