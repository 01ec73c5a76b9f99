"""SQL functions over image bytes: equal to the direct calls, one decode an image, and never a failed query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, Row, SparkSession

from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.images import decode as codecs
from popspark.models.bundle import load_bundle
from popspark.models.contributions import contributions
from popspark.models.predictor import Predictor
from popspark.runtime.errors import BundleError, ConfigError, PathError
from popspark.scoring.functions import parse_arguments
from popspark.scoring.register import register
from popspark.storage.social_values import SOCIAL_NAMES
from popspark.storage.tables import IMAGE_BLOBS, SOCIAL_FEATURES
from tests.made_bundles import FAMILIES, write_ranker, write_vscnn
from tests.spark.features.test_extraction import image_row, jpeg

BAD = {"broken": jpeg(9)[:200], "text": b"not a picture", "empty": b"", "gone": None}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {"popularity": write_vscnn(folder / "vscnn"), "intrinsic": write_ranker(folder / "ranker")}


@pytest.fixture(scope="module")
def images(spark: SparkSession, bundles: dict[str, Path]) -> DataFrame:
    """Four pictures, and one of each kind of trouble; the functions are registered."""
    names = register(spark, bundles, families=FAMILIES)
    assert names == (
        "image_features",
        "popularity_score",
        "popularity_contributions",
        "intrinsic_score",
        "intrinsic_contributions",
        "intrinsic_beats",
    )
    rows = [image_row(f"i{n}", jpeg(n)) for n in range(4)] + [image_row(name, c) for name, c in BAD.items()]
    return spark.createDataFrame(rows, IMAGE_BLOBS.schema).repartition(2)


def query(images: DataFrame, text: str, **tables: DataFrame) -> dict[str, Row]:
    """The rows of a query over {images}, by image_id."""
    rows = images.sparkSession.sql(text, images=images, **tables).collect()
    return {row["image_id"]: row for row in rows}


def values_of(seed: int) -> dict[str, np.ndarray]:
    """Of picture `seed`, (1, dim) by family, without Spark."""
    image = codecs.decode(jpeg(seed))
    return {p.name: p.load("cpu", None)([image]) for p in plan_features(FeatureSettings(families=FAMILIES))}


def score_of(predictor: Predictor, seed: int, social: np.ndarray) -> float:
    projected = sum(predictor.project(name, part) for name, part in values_of(seed).items())
    return float(predictor.score(np.asarray(projected), social)[0])


def assert_refused(rows: dict[str, Row], column: str, *nulls: str) -> None:
    statuses = {"broken": "corrupt", "text": "not_an_image", "empty": "empty", "gone": "missing"}
    for image_id, status in statuses.items():
        result = rows[image_id][column]
        assert result["status"] == status
        assert result["error"]
        assert all(result[name] is None for name in nulls)


def test_image_features_are_those_of_the_families(images: DataFrame) -> None:
    rows = query(images, "SELECT image_id, image_features(content) AS f FROM {images}")
    assert len(rows) == 8
    for n in range(4):
        for name, values in values_of(n).items():
            np.testing.assert_array_equal(np.array(rows[f"i{n}"]["f"][name], np.float32), values[0])
        assert (rows[f"i{n}"]["f"]["status"], rows[f"i{n}"]["f"]["error"]) == ("ok", None)
    assert_refused(rows, "f", *FAMILIES)


@pytest.mark.parametrize("name", ["popularity", "intrinsic"])
def test_a_score_of_the_picture_alone(images: DataFrame, bundles: dict[str, Path], name: str) -> None:
    predictor = Predictor(load_bundle(bundles[name]))
    rows = query(images, f"SELECT image_id, {name}_score(content) AS s FROM {{images}}")
    for n in range(4):
        expected = score_of(predictor, n, np.zeros((1, 34)))
        assert rows[f"i{n}"]["s"]["score"] == pytest.approx(expected, abs=1e-4)
        assert rows[f"i{n}"]["s"]["percentile"] == pytest.approx(predictor.bundle.percentile(expected), abs=1e-2)
        assert rows[f"i{n}"]["s"]["status"] == "ok"
    assert_refused(rows, "s", "score", "percentile")


def test_social_values_are_taken_by_name_and_unknown_ones_are_0(images: DataFrame, bundles: dict[str, Path]) -> None:
    predictor = Predictor(load_bundle(bundles["popularity"]))
    known = {"n_hashtags": 3, "user_mean_views": 12.5, "has_people": True}
    social = "named_struct('user_mean_views', 12.5, 'has_people', true, 'n_hashtags', 3, 'days_online', null)"
    rows = query(images, f"SELECT image_id, popularity_score(content, {social}) AS s FROM {{images}}")
    given = np.array([[float(known.get(name, 0)) for name in SOCIAL_NAMES]])
    for n in range(4):
        assert rows[f"i{n}"]["s"]["score"] == pytest.approx(score_of(predictor, n, given), abs=1e-4)
    assert_refused(rows, "s", "score", "percentile")


def test_a_row_of_social_features_is_such_a_struct(images: DataFrame, bundles: dict[str, Path]) -> None:
    predictor = Predictor(load_bundle(bundles["popularity"]))
    given = {f"i{n}": np.random.default_rng(n).normal(size=34) for n in range(4)}
    rows = [(image_id, "paper", *values.tolist()) for image_id, values in given.items()]
    social = images.sparkSession.createDataFrame(rows, SOCIAL_FEATURES.schema)
    text = """
        SELECT i.image_id, popularity_score(i.content, struct(s.*)) AS s
        FROM {images} AS i INNER JOIN {social} AS s ON s.post_id = i.image_id
    """
    rows = query(images, text, social=social)
    for n in range(4):
        expected = score_of(predictor, n, given[f"i{n}"][None])
        assert rows[f"i{n}"]["s"]["score"] == pytest.approx(expected, abs=1e-4)


def test_values_beyond_all_measure_are_refused(images: DataFrame) -> None:
    social = "named_struct('n_hashtags', if(image_id = 'i0', double('infinity'), 1D))"
    rows = query(images, f"SELECT image_id, popularity_score(content, {social}) AS s FROM {{images}}")
    assert rows["i0"]["s"] == Row(score=None, percentile=None, status="failed", error="the score is not finite")
    assert rows["i1"]["s"]["status"] == "ok"


def test_the_probability_that_one_beats_the_other(images: DataFrame, bundles: dict[str, Path]) -> None:
    predictor = Predictor(load_bundle(bundles["intrinsic"]))
    text = """
        SELECT l.image_id AS id_l, r.image_id AS id_r, intrinsic_beats(l.content, r.content) AS b
        FROM {images} AS l CROSS JOIN {images} AS r
    """
    rows = {(row["id_l"], row["id_r"]): row["b"] for row in images.sparkSession.sql(text, images=images).collect()}
    assert len(rows) == 64
    scores = {f"i{n}": score_of(predictor, n, np.zeros((1, 34))) for n in range(4)}
    for (left, right), row in rows.items():
        if left in scores and right in scores:
            expected = 1 / (1 + np.exp(scores[right] - scores[left]))
            assert row["probability"] == pytest.approx(expected, abs=1e-5)
            assert (row["status"], row["error"]) == ("ok", None)
            assert row["probability"] + rows[right, left]["probability"] == pytest.approx(1)
        else:
            assert row["probability"] is None
            assert row["status"] == rows[left if left not in scores else right, "i0"]["status"]
            assert row["error"].startswith("l: " if left not in scores else "r: ")
    assert (rows["i0", "text"]["score_l"], rows["i0", "text"]["score_r"]) == (
        pytest.approx(scores["i0"], abs=1e-5),
        None,
    )


def test_contributions_add_up_to_the_score(images: DataFrame, bundles: dict[str, Path]) -> None:
    predictor = Predictor(load_bundle(bundles["popularity"]))
    rows = query(images, "SELECT image_id, popularity_contributions(content) AS c FROM {images}")
    for n in range(4):
        row = rows[f"i{n}"]["c"]
        expected, baseline = contributions(predictor, values_of(n), np.zeros((1, 34)), {})
        assert (row["color"], row["lbp"]) == pytest.approx((expected["color"][0], expected["lbp"][0]), abs=1e-4)
        assert row["baseline"] + row["color"] + row["lbp"] == pytest.approx(row["score"])
        assert row["baseline"] == pytest.approx(baseline[0], abs=1e-4)
        assert row["user"] is row["post"] is row["time"] is None
    assert_refused(rows, "c", "score", "baseline", *FAMILIES)
    social = "named_struct('n_hashtags', 30)"
    with_social = query(images, f"SELECT image_id, popularity_contributions(content, {social}) AS c FROM {{images}}")
    row = with_social["i0"]["c"]
    total = sum(row[name] for name in ("baseline", *FAMILIES, "user", "post", "time"))
    assert total == pytest.approx(row["score"])
    assert row["post"] != 0


def test_many_fields_a_filter_and_an_aggregate_take_one_run_per_image(images: DataFrame) -> None:
    """The plan evaluates the function once, though five places read its result."""
    text = """
        WITH scored AS (SELECT image_id, popularity_score(content) AS s FROM {images})
        SELECT s.status, avg(s.score) AS score, max(s.percentile) AS percentile
        FROM scored WHERE s.error IS NULL OR s.score > 3 GROUP BY s.status
    """
    rows = images.sparkSession.sql(text, images=images)
    assert [row["status"] for row in rows.collect()] == ["ok"]
    plan = rows._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("popularity_score(") == 1


def test_no_rows(images: DataFrame) -> None:
    assert query(images.limit(0), "SELECT image_id, popularity_score(content) AS s FROM {images}") == {}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"bundles": {"my-model": "x"}}, ConfigError, "This name cannot begin a function's.\n  where: bundles"),
        ({"bundles": {"m": "no/such/bundle"}}, PathError, "There is no bundle."),
        ({"families": ("colour",)}, ConfigError, "Did you mean 'color'?"),
        ({"families": ()}, ConfigError, "families must name at least one family"),
        ({"device": "gpu"}, ConfigError, "device = 'gpu': Input should be 'auto', 'cpu' or 'cuda'"),
        ({"weights": {"vgg19": "random"}}, ConfigError, "Weights are set for families without use."),
    ],
)
def test_bad_arguments_are_told_at_registration(
    spark: SparkSession, arguments: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        register(spark, **{"families": FAMILIES, **arguments})
    assert message in str(caught.value)


def test_a_bundle_made_for_other_features_is_refused(spark: SparkSession) -> None:
    demo = Path(__file__).resolve().parents[3] / "models" / "demo-vscnn"
    with pytest.raises(BundleError) as caught:
        register(spark, {"demo": demo}, families=FAMILIES, weights={"efficientnet_lite0": "random"})
    assert "was made for other features than those at hand." in str(caught.value)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pd.Series([3]), "popularity_score takes an image (a uri, or bytes), and optionally a struct"),
        ((pd.Series([b"x"]), pd.Series([3])), "popularity_score: these are no social values.\n  got: no struct"),
        (
            (pd.Series([b"x"]), pd.DataFrame({"n_tags": [1]})),
            "popularity_score: these are no social values.\n  got: ['n_tags']",
        ),
    ],
)
def test_arguments_of_another_kind(batch: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arguments(batch, "popularity_score")
    assert str(caught.value).startswith(message)


def test_the_query_tells_them(images: DataFrame) -> None:
    one = images.limit(1).coalesce(1)
    with pytest.raises(PythonException, match=r"intrinsic_beats takes two images \(uris, or bytes\)"):
        images.sparkSession.sql("SELECT intrinsic_beats(content) FROM {images}", images=one).collect()
