"""spark-submit of the scoring jobs with the released bundle: what `make test-matrix` runs on every Spark."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from popspark.storage.arrow import read_arrow
from popspark.storage.runs import read_runs
from tests.jobs.conftest import ROOT, Submit


def test_the_released_bundle_scores_the_sample(tmp_path: Path, photographs: Path, submit: Submit) -> None:
    env = f"env.warehouse={tmp_path}"
    submit("ingest_images", env, f"source={photographs}")
    submit("score_posts", env, f"posts={ROOT}/sample/posts", f"bundle={ROOT}/models/demo-vscnn")
    images = {row["post_id"]: row["image_id"] for row in pq.read_table(ROOT / "sample" / "posts").to_pylist()}
    rows = read_arrow(f"{tmp_path}/scores").to_pylist()
    assert {row["post_id"] for row in rows} == set(images)
    assert len(rows) == len(images)
    for row in rows:
        image_id = images[row["post_id"]]
        there = image_id is not None and (photographs / image_id).exists()
        assert row["status"] == ("ok" if there else "missing" if image_id else "no_image")
        assert (row["score"] is not None) == there
        assert row["model_name"] == "demo-vscnn"
    assert sum(row["status"] == "ok" for row in rows) > 50

    score = ("score_posts", env, f"posts={ROOT}/sample/posts", f"bundle={ROOT}/models/demo-vscnn")
    unmoved = f"Nothing that scores are made from has changed: {len(rows)} rows of {tmp_path}/scores are current.\n"
    done = submit(*score)
    assert (unmoved in done.stdout, "session" in done.stdout) == (True, False)
    outcomes = [(run["job"], dict(run["counts"]).get("unchanged")) for run in read_runs(f"{tmp_path}/runs")]
    assert outcomes == [("score_posts", len(rows)), ("score_posts", 0)]
    submit("ingest_images", env, f"source={photographs}")  # a new version, of the same rows: all is compared
    assert f"unchanged      {len(rows):>12,}" in submit(*score).stdout
    (tmp_path / "score_report.html").unlink()
    assert unmoved not in submit(*score).stdout
