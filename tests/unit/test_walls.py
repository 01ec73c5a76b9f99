"""What is imported, and what that loads: a driver that only runs SQL gets no torch, and training gets no Spark.

The imports as written are contracts of `lint-imports`; these tests see what they load, wherever it stands.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
OURS = ("popspark", "jobs", "bench", "tests")

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


def imported_by(folder: str) -> set[str]:
    """The top-level packages that the files of a folder import, wherever the import stands."""
    nodes = (node for path in (ROOT / folder).rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    names = {
        name
        for node in nodes
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    return {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, *OURS}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("popspark", ("train", "stores", "heif")),
        ("bench", ("train", "dev", "test")),
        ("tests", ("train", "dev", "test", "stores")),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    declared = {canonicalize_name(Requirement(one).name) for one in wanted} | {"pydantic-core"}  # pydantic's own
    packages = packages_distributions()
    absent = {name for name in imported_by(folder) if not {canonicalize_name(d) for d in packages[name]} & declared}
    assert absent == set()


SPARK_SIDE = [
    name
    for room in ("runtime", "storage", "ingest", "images", "models", "features", "pairs", "posts", "scoring")
    for name in modules(f"popspark/{room}")
]
HEAVY = {"torch", "torchvision", "petastorm", "sklearn", "efficientnet_lite_pytorch"}


def test_the_spark_side_does_not_load_torch() -> None:
    loaded = loaded_by(SPARK_SIDE)
    assert "pyspark" in loaded, "these modules no longer say anything about Spark"
    assert not loaded & HEAVY


def test_the_command_line_and_the_settings_of_every_job_load_nothing_heavy() -> None:
    """Help appears at once, and a misspelt setting ends at once."""
    loaded = loaded_by(["popspark.cli", *modules("popspark/jobs")])
    assert "pydantic" in loaded
    assert not loaded & {*HEAVY, "pyspark", "numpy", "pandas", "pyarrow", "PIL", "cv2", "scipy", "matplotlib"}


def test_feature_families_load_neither_torch_nor_spark() -> None:
    assert not loaded_by(modules("popspark/features/families")) & {*HEAVY, "pyspark"}


@pytest.mark.parametrize("folder", ["popspark/networks", "popspark/training"])
def test_the_torch_side_does_not_load_spark(folder: str) -> None:
    loaded = loaded_by(modules(folder))
    assert "torch" in loaded
    assert "pyspark" not in loaded
