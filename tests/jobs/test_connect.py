"""The whole path on Spark Connect: the jobs as they are, and the SQL functions, from clients without a JVM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.images import decode as codecs
from popspark.models.bundle import load_bundle
from popspark.models.predictor import Predictor
from popspark.storage.arrow import read_arrow
from popspark.storage.runs import read_runs
from tests.jobs.conftest import ROOT
from tests.made_bundles import FAMILIES, write_ranker, write_vscnn

REFUSED = {"cut_off.jpg": "corrupt", "empty.jpg": "empty", "text.jpg": "not_an_image"}


@pytest.fixture(scope="module")
def client(connect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a Python file as a client of the server, and gives its output, or its errors where it must end with some."""
    away = tmp_path_factory.mktemp("elsewhere")
    kept = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
    environment = kept | {"SPARK_REMOTE": connect_server, "PYTHONPATH": str(ROOT)}

    def run(script: str, *arguments: object, code: int = 0) -> str:
        command = [sys.executable, str(ROOT / script), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=away, timeout=200, check=False
        )
        assert done.returncode == code, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return str(done.stderr if code else done.stdout)

    return run


@pytest.fixture(scope="module")
def warehouse(client: Any, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, features, pairs and scores, each made by its job."""
    folder = tmp_path_factory.mktemp("warehouse")
    env, families = f"env.warehouse={folder}", "features.families=[color,lbp]"
    bundle = write_vscnn(folder / "vscnn")
    client("jobs/ingest_images.py", env, f"source={photographs}")
    client("jobs/extract_features.py", env, families)
    client("jobs/generate_pairs.py", env, f"posts={ROOT}/sample/posts")
    options = f"bundle={bundle}", f"image_features={folder}/image_features", "report=null"
    client("jobs/score_posts.py", env, "posts=null", *options)
    return folder


@pytest.fixture(scope="module")
def found(client: Any, warehouse: Path) -> dict[str, Any]:
    ranker = write_ranker(warehouse / "ranker")
    output = client("tests/jobs/connect_client.py", warehouse / "images", warehouse / "vscnn", ranker)
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def values_of(photograph: Path) -> dict[str, np.ndarray]:
    """(1, dim) by family, without Spark."""
    image = codecs.decode(photograph.read_bytes())
    return {p.name: p.load("cpu", None)([image]) for p in plan_features(FeatureSettings(families=FAMILIES))}


def score_of(predictor: Predictor, photograph: Path) -> float:
    parts = values_of(photograph)
    projected = sum(predictor.project(name, values) for name, values in parts.items())
    return float(predictor.score(np.asarray(projected), np.zeros((1, 34)))[0])


def test_the_jobs_write_the_same_tables_as_anywhere(warehouse: Path, photographs: Path) -> None:
    predictor = Predictor(load_bundle(warehouse / "vscnn"))
    scores = read_arrow(f"{warehouse}/scores").to_pylist()
    assert len(scores) == 15
    for row in scores:
        assert row["status"] == REFUSED.get(row["post_id"], "ok")
        if row["status"] == "ok":
            assert row["score"] == pytest.approx(score_of(predictor, photographs / row["post_id"]), abs=1e-4)
    features = read_arrow(f"{warehouse}/image_features")
    assert features.num_rows == 2 * 15
    assert read_arrow(f"{warehouse}/pairs").num_rows > 0
    posts = read_arrow(f"{warehouse}/pair_posts")
    assert posts.num_rows == pq.read_table(ROOT / "sample" / "posts").num_rows
    audit = read_arrow(f"{warehouse}/pair_audit").sort_by("position")
    of_pairs = audit.filter(pc.equal(audit["of"], "pairs"))
    assert of_pairs["n_after"][-1].as_py() == read_arrow(f"{warehouse}/pairs").num_rows


def test_an_export_that_is_read_side_by_side(client: Any, tmp_path: Path) -> None:
    options = f"source={ROOT}/tests/exports/smpd_2020", f"env.warehouse={tmp_path}"
    printed = client("jobs/ingest_posts.py", "origin=smpd", *options)
    assert printed.startswith("rows in              4\nposts                2\nrejected             2\n")
    assert "labels               0 of 2\n" in printed
    posts = {post["post_id"]: post["title"] for post in read_arrow(f"{tmp_path}/posts").to_pylist()}
    assert posts == {"101": "title 0", "102": "title 1"}
    reasons = sorted(read_arrow(f"{tmp_path}/rejects").column("reason").to_pylist())
    assert reasons == ["labels_do_not_line_up"] * 2 + ["row_without_post", "truncated_json"]


def test_an_error_of_an_executor_has_its_own_code_and_message(client: Any, warehouse: Path) -> None:
    options = "features.families=[resnet18]", "features.weights.resnet18=random", "features.device=cuda"
    out = f"image_features={warehouse}/none", f"runs={warehouse}/failed"
    said = client("jobs/extract_features.py", f"env.warehouse={warehouse}", *options, *out, code=69)
    assert (
        "\nextract_features: DeviceError: device is 'cuda', and this task has no GPU.\n  got: gpu resource None" in said
    )
    assert "Traceback" not in said
    (row,) = read_runs(f"{warehouse}/failed")
    assert (row["exit_code"], row["error"].partition(":")[0]) == (69, "DeviceError")


def test_the_client_has_no_jvm(found: dict[str, Any]) -> None:
    assert found["session"].startswith("pyspark.sql.connect")


def test_functions_in_queries(found: dict[str, Any], warehouse: Path, photographs: Path) -> None:
    job = {row["post_id"]: row for row in read_arrow(f"{warehouse}/scores").to_pylist()}
    assert len(found["scores"]) == 15
    for row in found["scores"]:
        expected = job[row["image_id"]]
        assert row["status"] == expected["status"]
        assert row["score"] == pytest.approx(expected["score"], abs=1e-4)
        assert row["percentile"] == pytest.approx(expected["percentile"], abs=1e-2)
    for row in found["features"]:
        if row["status"] == "ok":
            expected = values_of(photographs / row["image_id"])["color"][0]
            np.testing.assert_array_equal(np.array(row["color"], np.float32), expected)
            assert row["n_lbp"] == 59
    assert len(found["contributions"]) == 12
    assert all(row["total"] == pytest.approx(row["score"]) for row in found["contributions"])


def test_one_image_against_another(found: dict[str, Any], warehouse: Path, photographs: Path) -> None:
    predictor = Predictor(load_bundle(warehouse / "ranker"))
    scores = {path.name: score_of(predictor, path) for path in photographs.glob("*.jpg") if path.name not in REFUSED}
    seen = {row["image_id"] for row in found["beats"]}
    assert set(scores) <= seen
    for row in found["beats"]:
        if row["image_id"] in scores and row["other_id"] in scores:
            expected = 1 / (1 + np.exp(scores[row["other_id"]] - scores[row["image_id"]]))
            assert row["probability"] == pytest.approx(expected, abs=1e-6)
