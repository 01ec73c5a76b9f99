"""spark-submit of the scoring jobs with the released bundle: what `make test-matrix` runs on every Spark."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tests.jobs.conftest import ROOT, Submit


def test_the_released_bundle_scores_a_folder(tmp_path: Path, photographs: Path, submit: Submit) -> None:
    env = f"env.warehouse={tmp_path}"
    submit("ingest_images", env, f"source={photographs}")
    submit("score_posts", env, "posts=null", f"bundle={ROOT}/models/demo-vscnn")
    rows = {row["post_id"]: row for row in pq.read_table(tmp_path / "scores").to_pylist()}
    refused = {"cut_off.jpg": "corrupt", "empty.jpg": "empty", "text.jpg": "not_an_image"}
    assert set(rows) == {path.name for path in photographs.iterdir()}
    for post_id, row in rows.items():
        assert row["status"] == refused.get(post_id, "ok")
        assert (row["score"] is not None) == (row["status"] == "ok")
        assert row["model_name"] == "demo-vscnn"
    assert len({row["score"] for row in rows.values()}) == 13  # twelve pictures, twelve scores, and null
