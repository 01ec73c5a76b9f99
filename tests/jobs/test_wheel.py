"""The wheel in an environment of its own: `popspark` scores a folder of photographs from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from popspark.storage.arrow import read_arrow
from tests.jobs.conftest import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and nothing else.

    What the wheel needs is torch and Spark: half a gigabyte that is not installed again, but found where these tests
    have it. A path in a .pth file brings the packages there and no editable install.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", ROOT]
    subprocess.run(wheel, check=True, timeout=120)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (built,) = (folder / "dist").glob("popspark-*.whl")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", built], check=True, timeout=120)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return python.parent


@pytest.fixture
def popspark(installed: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    """`popspark` as it is called where no environment is activated, in a folder with nothing in it."""
    kept = {name: value for name, value in os.environ.items() if name in ("JAVA_HOME", "HOME", "TMPDIR")}

    def call(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(installed / "popspark"), *map(str, arguments)]
        environment = {**kept, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call


def test_it_scores_photographs_and_says_nothing_but_its_own_lines(popspark, photographs: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ingested = popspark("ingest-images", f"source={photographs}")
    assert ingested.stdout.startswith("Ingested 15 images into warehouse/images\n")
    assert ingested.stderr == ""
    scored = popspark("score-posts", f"bundle={ROOT}/models/demo-vscnn", "posts=null")
    assert "scored                   12\nrefused                   3\n" in scored.stdout
    lines = scored.stderr.splitlines()
    assert lines
    assert all(line.startswith("[") and " s] " in line for line in lines)
    scores = read_arrow(f"{tmp_path}/warehouse/scores").to_pylist()
    assert sorted(row["status"] for row in scores if row["status"] != "ok") == ["corrupt", "empty", "not_an_image"]


def test_environments_presets_and_help_come_with_it(popspark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "  score-posts " in popspark("--help").stdout
    assert "(required)" not in popspark("train-vscnn", "--help").stdout
    missing = popspark("train-ranker", "--config", "cpu", code=66)
    assert missing.stderr.startswith("train_ranker: PathError: There are no pair examples.")
    refused = popspark("score-posts", "--env", "cluster", "bundle=x", code=78)
    assert refused.stderr.startswith("score_posts: ConfigError: This configuration cannot be resolved.\n")
    assert "POPSPARK_WAREHOUSE" in refused.stderr
    assert not list(tmp_path.iterdir())
