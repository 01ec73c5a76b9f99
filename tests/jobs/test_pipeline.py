"""From photographs to scores through every job, on each kind of master, and again with the same result."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from popspark.storage.arrow import read_arrow
from tests.jobs.conftest import ROOT, Submit

FEATURES = "features.families=[color,lbp]"
BROKEN = {"cut_off.jpg": "corrupt", "empty.jpg": "empty", "text.jpg": "not_an_image", "nowhere.jpg": "missing"}


def read(path: Path) -> pa.Table:
    table = read_arrow(str(path)).sort_by("post_id")
    return table.drop_columns(["posted_month"]) if "posted_month" in table.column_names else table


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, photographs: Path, submit: Submit) -> Path:
    """Images, posts over the good and the broken ones, features, examples and a small trained bundle."""
    folder = tmp_path_factory.mktemp("warehouse")
    posts = pq.read_table(ROOT / "sample" / "posts")
    kept = posts.filter(pc.is_in(posts["image_id"], pa.array([p.name for p in photographs.glob("*.jpg")])))
    broken = kept.slice(0, len(BROKEN))
    broken = broken.set_column(broken.schema.get_field_index("image_id"), "image_id", pa.array(list(BROKEN)))
    ids = pa.array([f"x{n}" for n in range(len(BROKEN))])
    broken = broken.set_column(broken.schema.get_field_index("post_id"), "post_id", ids)
    (folder / "posts").mkdir()
    everything = pa.concat_tables([kept, broken.cast(kept.schema)])
    pq.write_table(everything, folder / "posts" / "posts.parquet", coerce_timestamps="us")
    root = f"env.warehouse={folder}"
    submit("ingest_images", root, f"source={photographs}")
    submit("extract_features", root, FEATURES)
    submit("build_examples", root, FEATURES, "split.seed=3")
    submit("train_vscnn", root, "model.fit.n_epochs=2", "name=small", "version=1")
    return folder


@pytest.fixture(scope="module")
def scores(warehouse: Path, submit: Submit) -> pa.Table:
    bundle = f"bundle={warehouse}/models/vscnn"
    done = submit("score_posts", f"env.warehouse={warehouse}", bundle)
    for line in ("posts in", "scored", "refused", "corrupt", "missing", "posts a second", "scoring"):
        assert line in done.stdout
    return read(warehouse / "scores")


def test_each_run_has_its_record(warehouse: Path, scores: pa.Table) -> None:
    runs = {row["job"]: row for row in read_arrow(f"{warehouse}/runs").to_pylist()}
    assert {job: row["outcome"] for job, row in runs.items()} == dict.fromkeys(
        ("extract_features", "score_posts"), "succeeded"
    )
    counts = dict(runs["score_posts"]["counts"])
    assert counts["in"] == len(scores) == counts["ok"] + counts["refused"]
    assert set(scores["run_id"].to_pylist()) == {runs["score_posts"]["run_id"]}
    assert dict(runs["extract_features"]["counts"])["ok"] == 24


def test_every_post_has_one_row(warehouse: Path, scores: pa.Table) -> None:
    posts = read(warehouse / "posts")
    assert scores["post_id"].to_pylist() == posts["post_id"].to_pylist()
    image = dict(zip(posts["post_id"].to_pylist(), posts["image_id"].to_pylist(), strict=True))
    for row in scores.to_pylist():
        assert row["status"] == BROKEN.get(image[row["post_id"]], "ok")
        assert (row["score"] is not None) == (row["status"] == "ok")
        assert row["score"] is None or 0 <= row["percentile"] <= 100
    assert set(scores["model_name"].to_pylist()) == {"small"}


def test_the_report_shows_pictures_refusals_and_that_all_is_simulated(warehouse: Path, scores: pa.Table) -> None:
    page = (warehouse / "score_report.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') > 12
    for text in ("These posts are simulated", "The model learned simulated counts", "not_an_image", "Highest scores"):
        assert text in page


def test_the_card_and_the_manifest_say_what_was_learned(warehouse: Path, scores: pa.Table) -> None:
    manifest = json.loads((warehouse / "models" / "vscnn" / "manifest.json").read_text())
    assert manifest["is_simulated"] is True
    assert [feature["name"] for feature in manifest["features"]] == ["color", "lbp"]
    assert len(manifest["training"]["curves"]) == 2
    assert "SIMULATED" in (warehouse / "models" / "vscnn" / "README.md").read_text()


def test_the_making_of_examples_describes_their_splits(warehouse: Path) -> None:
    splits = json.loads((warehouse / "examples.json").read_text())["splits"]
    posts = read(warehouse / "posts")
    image = dict(zip(posts["post_id"].to_pylist(), posts["image_id"].to_pylist(), strict=True))
    examples = read_arrow(f"{warehouse}/examples").to_pylist()
    assert set(splits) == {"train", "valid", "test"}
    for split, described in splits.items():
        rows = [row for row in examples if row["split"] == split]
        assert described["posts"] == len(rows)
        assert described["images"] == len({image[row["post_id"]] for row in rows})
        assert described["mean_label"] == pytest.approx(sum(row["label"] for row in rows) / len(rows))


def same(left: pa.Table, right: pa.Table, tolerance: float) -> bool:
    """Equal but for the run, and for what another order of additions moves."""
    texts = [name for name in left.column_names if name not in ("score", "percentile", "scored_at", "run_id")]
    if left.select(texts).to_pylist() != right.select(texts).to_pylist():
        return False
    pairs = zip(left["score"].to_pylist(), right["score"].to_pylist(), strict=True)
    return all(a == b if None in (a, b) else abs(a - b) <= tolerance for a, b in pairs)


def test_the_same_job_twice_gives_the_same_table(warehouse: Path, scores: pa.Table, submit: Submit) -> None:
    again = warehouse / "scores_again"
    submit("score_posts", f"env.warehouse={warehouse}", f"bundle={warehouse}/models/vscnn", f"scores={again}")
    assert same(scores, read(again), 0.0)


def test_stored_features_give_the_same_scores(warehouse: Path, scores: pa.Table, submit: Submit) -> None:
    stored = warehouse / "scores_stored"
    features = f"image_features={warehouse}/image_features"
    bundle = f"bundle={warehouse}/models/vscnn"
    submit("score_posts", f"env.warehouse={warehouse}", bundle, features, f"scores={stored}", "report=null")
    assert same(scores, read(stored), 1e-5)


def test_executors_of_their_own_score_what_is_not_there(warehouse: Path, scores: pa.Table, submit: Submit) -> None:
    out = copytree(warehouse / "scores", warehouse / "scores_local_cluster")
    months = sorted(path.name.removeprefix("posted_month=") for path in out.iterdir() if "=" in path.name)
    DeltaTable(out).delete(f"posted_month IN ({', '.join(map(repr, months[::2]))})")
    n_left = read_arrow(str(out)).num_rows
    assert 0 < n_left < len(scores)
    bundle = f"bundle={warehouse}/models/vscnn"
    root = f"env.warehouse={warehouse}"
    done = submit("score_posts", root, bundle, f"scores={out}", "report=null", master="local-cluster[2,1,2048]")
    assert f"unchanged      {n_left:>12,}" in done.stdout
    assert same(scores, read(out), 1e-5)


@pytest.mark.slow
def test_the_same_job_on_a_standalone_master(
    warehouse: Path, scores: pa.Table, submit: Submit, standalone_master: str
) -> None:
    out = warehouse / "scores_standalone"
    options = ("--executor-memory", "1g", "--conf", "spark.driver.host=127.0.0.1")
    bundle = f"bundle={warehouse}/models/vscnn"
    overrides = (f"env.warehouse={warehouse}", bundle, f"scores={out}", "report=null")
    submit("score_posts", *overrides, master=standalone_master, options=options)
    assert same(scores, read(out), 1e-5)


def test_posts_without_rows(warehouse: Path, submit: Submit) -> None:
    posts = warehouse / "no_posts"
    posts.mkdir()
    pq.write_table(read_arrow(f"{warehouse}/posts").slice(0, 0), posts / "posts.parquet", coerce_timestamps="us")
    overrides = (f"posts={posts}", f"bundle={warehouse}/models/vscnn", f"scores={warehouse}/no_scores")
    done = submit("score_posts", f"env.warehouse={warehouse}", *overrides)
    assert "posts in                  0" in done.stdout
    assert read(warehouse / "no_scores").num_rows == 0
