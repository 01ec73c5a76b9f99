"""Scores: one row per post whatever happens, equal to the predictor called directly."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.features.plan import check_features, plan_features
from popspark.features.projection import gather_projections, project_features, sum_projections
from popspark.features.settings import FeatureSettings
from popspark.features.stored_files import collect_ids
from popspark.features.stored_projections import project_stored
from popspark.models.bundle import Bundle, Reduction, load_bundle, quantiles, write_bundle
from popspark.models.predictor import Predictor
from popspark.models.shipping import ship_bundle
from popspark.runtime.errors import BundleError
from popspark.scoring.inputs import scoring_inputs
from popspark.scoring.scoring import score_posts
from popspark.storage.social_values import SOCIAL_NAMES
from popspark.storage.tables import IMAGE_FEATURES, SCORES
from popspark.storage.warehouse import read_table

DIMS = {"color": 3, "lbp": 2}
POST = "post_id string, image_id string, collected_at timestamp, posted_at timestamp"


def reduction(generator: np.random.Generator, n_in: int, n_out: int) -> Reduction:
    center, scale = generator.normal(size=n_in), generator.uniform(0.5, 2, n_in)
    parts = generator.normal(size=(n_out, n_in)), generator.normal(size=n_out), generator.uniform(0.5, 2, n_out)
    return Reduction(*(np.asarray(x, np.float32) for x in (center, scale, *parts)))


@pytest.fixture(scope="module")
def bundle(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A VSCNN with seeded random parameters over two small families, shipped."""
    import torch

    from popspark.networks.vscnn import TOWERS, PopularityCNN

    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    network = {name: value.numpy() for name, value in PopularityCNN(TOWERS["vscnn"]).state_dict().items()}
    manifest = {
        "name": "tiny",
        "version": "7",
        "kind": "vscnn",
        "network": {"towers": TOWERS["vscnn"]},
        "features": [{"name": n, "version": f"{n}-1", "dim": d, "weights": None} for n, d in DIMS.items()],
    }
    reductions = {"visual": reduction(generator, 5, 20), "social": reduction(generator, 34, 14)}
    made = Bundle(manifest, network, reductions, quantiles(generator.normal(size=500)))
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(made, folder / "tiny", "card")
    found = load_bundle(folder / "tiny")
    ship_bundle(spark, found)
    return found


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Posts, features and social values: good posts, and one of each kind of trouble."""
    generator = np.random.default_rng(1)
    features = []
    for n in range(6):
        for family, dim in DIMS.items():
            features.append((f"i{n}", "s", family, f"{family}-1", generator.normal(size=dim).tolist(), "ok", None))
            features.append((f"i{n}", "s", family, "old", [9.0] * dim, "ok", None))
    features += [("broken", "s", family, f"{family}-1", None, "corrupt", "OSError: cut off") for family in DIMS]
    features += [("wild", "s", family, f"{family}-1", [float("inf")] * dim, "ok", None) for family, dim in DIMS.items()]
    features.append(("half", "s", "color", "color-1", [0.0, 0.0, 0.0], "ok", None))
    posted = datetime(2023, 5, 5)
    posts = [(f"p{n}", f"i{n % 6}", datetime(2024, 1, 1), posted) for n in range(10)]
    unknown = [("none", None), ("gone", "absent"), ("broken", "broken"), ("half", "half"), ("wild", "wild")]
    posts += [(post, image, None, None) for post, image in unknown]
    posts += [("p0", "absent", datetime(2023, 1, 1), posted), (None, "i0", None, None)]
    social = [(post, "paper", *generator.normal(size=34).tolist()) for post in {row[0] for row in posts if row[0]}]
    return (
        spark.createDataFrame(posts, POST),
        spark.createDataFrame(features, IMAGE_FEATURES.schema),
        spark.createDataFrame(social, "post_id string, mode string, " + ", ".join(f"{n} double" for n in SOCIAL_NAMES)),
    )


def score(tables: tuple[DataFrame, DataFrame, DataFrame | None], bundle: Bundle) -> DataFrame:
    posts, features, social = tables
    images = features.selectExpr("image_id", "sha256", "'ok' AS status").distinct()
    inputs = scoring_inputs(posts, images, social, bundle).where("post_id IS NOT NULL")
    found = gather_projections(project_features(features, bundle), bundle)
    return score_posts(inputs, found, bundle, "r1")


@pytest.fixture(scope="module")
def scores(spark: SparkSession, bundle: Bundle, tables: tuple[DataFrame, DataFrame, DataFrame]) -> DataFrame:
    return score(tables, bundle).localCheckpoint()


def test_exactly_one_row_per_post_with_a_score_or_a_reason(scores: DataFrame) -> None:
    assert scores.columns == list(SCORES.columns)
    rows = {row["post_id"]: row for row in scores.collect()}
    assert scores.count() == len(rows) == 15
    assert {p: (r["status"], r["error"]) for p, r in rows.items() if r["status"] != "ok"} == {
        "none": ("no_image", "the post has no image"),
        "gone": ("missing", "there is no such image in the images or features table"),
        "broken": ("corrupt", "OSError: cut off"),
        "half": ("no_features", "no lbp lbp-1"),
        "wild": ("failed", "the score is not finite"),
    }
    for row in rows.values():
        assert (row["score"] is None) == (row["percentile"] is None) == (row["status"] != "ok")
        assert (row["model_name"], row["model_version"], row["run_id"]) == ("tiny", "7", "r1")
        assert row["posted_month"] == ("2023-05" if row["post_id"].startswith("p") else "unknown")


def test_scores_equal_the_predictor_called_directly(
    scores: DataFrame, bundle: Bundle, tables: tuple[DataFrame, DataFrame, DataFrame]
) -> None:
    _, features, social = tables
    values = {(r["image_id"], r["family"]): r["values"] for r in features.where("version <> 'old'").collect()}
    social_values = {r["post_id"]: [r[n] for n in SOCIAL_NAMES] for r in social.collect()}
    predictor = Predictor(bundle)
    for row in scores.where("status = 'ok'").collect():
        image = f"i{int(row['post_id'][1:]) % 6}"
        projected = sum(predictor.project(name, np.array([values[image, name]], np.float32)) for name in DIMS)
        expected = predictor.score(projected, np.array([social_values[row["post_id"]]]))
        assert row["score"] == pytest.approx(expected[0], abs=1e-5)
        assert row["percentile"] == pytest.approx(bundle.percentile(expected)[0], abs=1e-3)


@pytest.fixture(scope="module")
def stored(tables: tuple[DataFrame, DataFrame, DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features as a table of several row groups a file, in folders by family and, beside these, in none."""
    folder = tmp_path_factory.mktemp("a folder")
    schema = pa.schema([(n, pa.list_(pa.float32()) if n == "values" else pa.string()) for n in IMAGE_FEATURES.columns])
    rows = pa.Table.from_pylist([row.asDict() for row in tables[1].collect()], schema)
    for family in DIMS:
        part = rows.filter(pc.equal(rows["family"], family)).drop(["family"])
        (folder / "by_family" / f"family={family}").mkdir(parents=True)
        pq.write_table(part, folder / "by_family" / f"family={family}" / "part-0.parquet", row_group_size=2)
    (folder / "flat").mkdir()
    pq.write_table(rows, folder / "flat" / "part-0.parquet", row_group_size=2)
    return folder


@pytest.mark.parametrize("layout", ["by_family", "flat"])
@pytest.mark.parametrize("few", [0, 100])
def test_stored_features_give_the_same_parts_from_their_files_as_by_spark(
    scores: DataFrame,
    bundle: Bundle,
    tables: tuple[DataFrame, DataFrame, DataFrame],
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    few: int,
) -> None:
    """Files in several splits; of the wanted images only where these are few. A flat folder is left to Spark."""
    monkeypatch.setattr("popspark.features.stored_files.MAX_COLLECTED_IDS", few)
    monkeypatch.setattr("popspark.features.stored_files.SHARE_BYTES", 1500)
    features = read_table(tables[1].sparkSession, IMAGE_FEATURES, str(stored / layout))
    wanted = tables[1].select("image_id").where("image_id <> 'i1'")
    found = project_stored(features, collect_ids(wanted), bundle)
    by_spark = project_features(tables[1].where("image_id <> 'i1'") if few else tables[1], bundle)
    gathered = _gathered(found, bundle)
    assert gathered == _about(_gathered(by_spark, bundle))
    assert len(gathered) == (8 if few else 9)
    if layout == "by_family":
        assert found.select(F.spark_partition_id().alias("n")).distinct().count() > 2
        apart = {row["image_id"] for row in found.where("family_index IS NOT NULL").collect()}
        assert "half" in apart
        assert apart <= {"broken", "wild", "half"}  # the last split's


@pytest.mark.parametrize("trouble", ["another order", "a family's row missing", "another name", "refused with values"])
def test_files_that_do_not_match_lose_nothing(
    scores: DataFrame,
    bundle: Bundle,
    tables: tuple[DataFrame, DataFrame, DataFrame],
    stored: Path,
    tmp_path: Path,
    trouble: str,
) -> None:
    """Two families' files of one name may hold other images, or the same in another order."""
    copytree(stored / "by_family", tmp_path / "features")
    changed = tmp_path / "features" / "family=lbp" / "part-0.parquet"
    rows = pq.read_table(changed, partitioning=None)
    if trouble == "another order":
        rows = rows.take(list(reversed(range(len(rows)))))
    elif trouble == "a family's row missing":
        rows = rows.filter(pc.not_equal(rows["image_id"], "i2"))
    elif trouble == "refused with values":
        is_refused = pc.equal(rows["image_id"], "i2")
        rows = rows.set_column(rows.schema.get_field_index("status"), "status", pc.if_else(is_refused, "failed", "ok"))
    pq.write_table(rows, changed, row_group_size=2)
    if trouble == "another name":
        changed.rename(changed.with_name("part-1.parquet"))
    features = read_table(tables[1].sparkSession, IMAGE_FEATURES, str(tmp_path / "features"))
    parts = project_stored(features, None, bundle)
    gathered = _gathered(parts, bundle)
    expected = _gathered(project_features(tables[1], bundle), bundle)
    if trouble == "a family's row missing":
        assert gathered.pop("i2") == (None, "no_features", "no lbp lbp-1")
        expected.pop("i2")
    if trouble == "refused with values":
        assert gathered.pop("i2") == (None, "failed", None)
        expected.pop("i2")
    assert gathered == _about(expected)


def test_projected_images_are_not_broadcast(
    scores: DataFrame, bundle: Bundle, tables: tuple[DataFrame, DataFrame, DataFrame], stored: Path
) -> None:
    """Spark takes what comes from files for a few bytes; of a million images it is a gigabyte."""
    posts, features, social = tables
    images = features.selectExpr("image_id", "sha256", "'ok' AS status").distinct()
    inputs = scoring_inputs(posts, images, social, bundle).where("post_id IS NOT NULL")
    kept = read_table(features.sparkSession, IMAGE_FEATURES, str(stored / "by_family"))
    projected = gather_projections(project_stored(kept, collect_ids(posts), bundle), bundle)
    found = score_posts(inputs, projected, bundle, "r1")
    plan = found._jdf.queryExecution().executedPlan().toString()
    assert "SortMergeJoin [image_id" in plan
    assert _rows(found) == _about(_rows(scores))


def _rows(scores: DataFrame) -> dict[str, tuple]:
    """By post."""
    return {row["post_id"]: tuple(row) for row in scores.drop("scored_at").collect()}


def _gathered(parts: DataFrame, bundle: Bundle) -> dict[str, tuple]:
    """By image: its parts' sum, or None; status and error."""
    rows = gather_projections(parts, bundle).collect()
    k = bundle.reductions["visual"].dim
    with np.errstate(invalid="ignore"):
        sums = {row["image_id"]: row["visual"] and sum_projections([row["visual"]], k)[0].tolist() for row in rows}
    return {row["image_id"]: (sums[row["image_id"]], row["status"], row["error"]) for row in rows}


def _about(rows: dict[str, tuple]) -> dict[str, tuple]:
    """The same with numbers that may differ in their last bits: some processors' products depend on the batch."""

    def about(value: object) -> object:
        return pytest.approx(value, rel=1e-4, abs=1e-5, nan_ok=True) if isinstance(value, list | float) else value

    return {key: tuple(map(about, row)) for key, row in rows.items()}


def test_a_ranker_s_single_component_is_the_score(
    spark: SparkSession, tables: tuple[DataFrame, DataFrame, DataFrame], tmp_path: Path
) -> None:
    generator = np.random.default_rng(4)
    features = [{"name": n, "version": f"{n}-1", "dim": d, "weights": None} for n, d in DIMS.items()]
    manifest = {"name": "line", "version": "1", "kind": "ranker", "features": features}
    line = Reduction(np.zeros(5), np.ones(5), generator.normal(size=(1, 5)), np.array([-0.5]), np.ones(1))
    write_bundle(Bundle(manifest, {}, {"visual": line}, quantiles(generator.normal(size=50))), tmp_path / "line", "")
    found = load_bundle(tmp_path / "line")
    ship_bundle(spark, found)
    posts, stored, _ = tables
    values = {(r["image_id"], r["family"]): r["values"] for r in stored.where("version <> 'old'").collect()}
    rows = score((posts, stored, None), found).where("status = 'ok'").collect()
    assert len(rows) == 10
    for row in rows:
        image = f"i{int(row['post_id'][1:]) % 6}"
        expected = np.concatenate([values[image, f] for f in DIMS]) @ line.components[0] + 0.5
        assert row["score"] == pytest.approx(expected, abs=1e-5)


def test_scoring_twice_gives_the_same_table(
    scores: DataFrame, bundle: Bundle, tables: tuple[DataFrame, DataFrame, DataFrame]
) -> None:
    again = score(tables, bundle).drop("scored_at")
    assert sorted(map(str, again.collect())) == sorted(map(str, scores.drop("scored_at").collect()))


def test_no_posts_give_no_scores(bundle: Bundle, tables: tuple[DataFrame, DataFrame, DataFrame]) -> None:
    posts, features, social = tables
    assert score((posts.limit(0), features, social), bundle).count() == 0


def test_a_bundle_refuses_other_features(bundle: Bundle) -> None:
    with pytest.raises(BundleError) as caught:
        check_features(bundle, plan_features(FeatureSettings(families=("color", "lbp"))))
    assert str(caught.value).startswith("Bundle tiny 7 was made for other features than those at hand.\n  got: color ")
    assert "legal: color color-1, lbp lbp-1" in str(caught.value)
