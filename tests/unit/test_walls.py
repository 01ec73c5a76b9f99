"""What importing loads: a driver that only runs SQL never gets torch, and training never gets Spark.

The imports as written are contracts of `lint-imports`; these tests see what they load, wherever it stands.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINING_JOBS = {"run_study", *(path.stem for path in (ROOT / "jobs").glob("train_*.py"))}

LOAD = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def modules(folder: str) -> list[str]:
    names = (path.relative_to(ROOT).with_suffix("").parts for path in sorted((ROOT / folder).rglob("*.py")))
    return [".".join(parts).removesuffix(".__init__") for parts in names]


def loaded_by(names: list[str]) -> set[str]:
    """The top-level packages that a fresh process has loaded after importing these modules."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout))


SPARK_SIDE = [
    name
    for room in ("runtime", "storage", "ingest", "images", "models", "features", "pairs", "posts", "scoring")
    for name in modules(f"popspark/{room}")
]
SPARK_JOBS = [name for name in modules("popspark/jobs") if name.rpartition(".")[2] not in TRAINING_JOBS]
HEAVY = {"torch", "torchvision", "petastorm", "sklearn", "efficientnet_lite_pytorch"}


@pytest.mark.parametrize("names", [SPARK_SIDE, SPARK_JOBS], ids=["package", "jobs"])
def test_the_spark_side_does_not_load_torch(names: list[str]) -> None:
    loaded = loaded_by(names)
    assert "pyspark" in loaded, "these modules no longer say anything about Spark"
    assert not loaded & HEAVY


def test_feature_families_load_neither_torch_nor_spark() -> None:
    assert not loaded_by(modules("popspark/features/families")) & {*HEAVY, "pyspark"}


@pytest.mark.parametrize("folder", ["popspark/networks", "popspark/training"])
def test_the_torch_side_does_not_load_spark(folder: str) -> None:
    loaded = loaded_by(modules(folder))
    assert "torch" in loaded
    assert "pyspark" not in loaded


def test_the_foundations_load_neither_images_nor_spark() -> None:
    """What every job pays for at its start."""
    assert not loaded_by(["popspark.runtime.errors", "popspark.runtime.config", "popspark.runtime.command"]) & {
        *HEAVY,
        "pyspark",
        "cv2",
        "PIL",
    }
