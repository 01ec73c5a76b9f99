"""Simulated posts: what they promise of determinism, skew, calibration and recoverable effects."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.stats import norm, spearmanr

from popspark.runtime.errors import ConfigError
from popspark.simulation import simulation as module
from popspark.simulation.calibration import LEVELS, QUANTILES
from popspark.simulation.hashing import normal, power_law_cdf, power_law_rank, uniform
from popspark.simulation.settings import EffectWeights, Simulation
from popspark.simulation.simulation import MISSING_IMAGE, simulate_posts
from popspark.storage.tables import POSTS

WEIGHTS = {"user": 0.6, "hashtags": 0.3, "time": 0.2, "image": 0.4, "noise": 0.5}
SIMULATION = Simulation(
    seed=7,
    n_posts=20_000,
    n_users=400,
    user_skew=0.75,
    n_hashtags=2000,
    hashtag_skew=0.9,
    starts_on=date(2020, 1, 1),
    n_days=1096,
    share_without_image=0.1,
    n_with_missing_image=3,
    weights=EffectWeights(**WEIGHTS),
)


def with_settings(**settings) -> Simulation:
    return SIMULATION.model_validate({**SIMULATION.model_dump(), **settings})


def in_pandas(rows: DataFrame) -> pd.DataFrame:
    """With the times in seconds since 1970: pyarrow 14 warns when it makes pandas' time stamps with a zone."""
    seconds = {name: F.unix_timestamp(name) for name in ("posted_at", "collected_at")}
    return rows.withColumns(seconds).orderBy("post_id").toPandas()


def label(posts: pd.DataFrame) -> np.ndarray:
    days = (posts.collected_at - posts.posted_at) / 86_400
    return np.log2(posts.n_views / days).to_numpy() + 1


def truth(posts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame([dict(extra) for extra in posts.extra]).astype(float)


@pytest.fixture(scope="module")
def posts(spark) -> pd.DataFrame:
    return in_pandas(simulate_posts(spark, SIMULATION, None))


def test_hash_normals_are_normal_and_keys_and_purposes_independent(spark):
    n = F.col("id")
    rows = spark.range(20_000).select(
        normal(1, "a", n), normal(1, "b", n), normal(1, "a", n + 1), normal(2, "a", n), uniform(1, "a", n)
    )
    values = rows.toPandas().to_numpy()
    places = (np.arange(20_000) + 0.5) / 20_000
    np.testing.assert_allclose(np.sort(values[:, 0]), norm.ppf(places), atol=0.6)
    assert np.abs(np.sort(norm.cdf(values[:, 0])) - places).max() < 0.015  # Kolmogorov: 0.0136 at 0.1 %
    assert np.abs(np.sort(values[:, 4]) - places).max() < 0.015
    assert np.abs(np.corrcoef(values[:, :4].T) - np.eye(4)).max() < 0.03


@pytest.mark.parametrize("skew", [0.0, 0.5, 0.9])
def test_power_law_ranks_invert_the_cdf(spark, skew):
    ranks = spark.range(50).select(
        F.col("id"),
        power_law_rank(power_law_cdf(F.col("id") + 0.5, 50, skew), 50, skew).alias("again"),
        power_law_cdf(F.col("id") + 1, 50, skew).alias("cdf"),
    )
    table = ranks.orderBy("id").toPandas()
    assert table.again.tolist() == table.id.tolist()
    x = np.arange(2, 52)
    expected = (x ** (1 - skew) - 1) / (51 ** (1 - skew) - 1)
    np.testing.assert_allclose(table.cdf, expected)


def test_the_rows_are_a_posts_table(spark, posts):
    assert simulate_posts(spark, SIMULATION, None).columns == list(POSTS.columns)
    assert len(posts) == posts.post_id.nunique() == SIMULATION.n_posts
    assert set(posts.origin) == {"simulated"}
    assert posts.is_simulated.all()
    assert posts[list(POSTS.key + POSTS.required)].notna().all(axis=None)
    counts = ["n_views", "n_likes", "n_shares", "n_comments"]
    assert (posts[counts] >= 0).all(axis=None)
    assert (posts.n_likes <= posts.n_views).all()


def test_lengths_and_counts_agree_with_the_text(posts):
    assert (posts.n_title_chars == posts.title.str.len()).all()
    assert (posts.n_caption_chars == posts.caption.fillna("").str.len()).all()
    assert (posts.n_hashtags == posts.hashtags.map(len)).all()
    assert (posts.hashtags.map(set).map(len) == posts.hashtags.map(len)).all()
    assert (posts.user_id.map(posts.user_id.value_counts()) == posts.n_user_posts).all()
    means = posts.groupby("user_id").n_views.mean()
    np.testing.assert_allclose(posts.user_id.map(means), posts.user_mean_views)


def test_the_same_settings_give_the_same_posts_on_any_number_of_partitions(spark, posts, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_PARTITION", 1500)
    again = in_pandas(simulate_posts(spark, SIMULATION, None))
    pd.testing.assert_frame_equal(again, posts, check_exact=True)


def test_another_seed_gives_other_posts(spark, posts):
    other = in_pandas(simulate_posts(spark, with_settings(seed=8), None))
    assert abs(spearmanr(label(other), label(posts)).statistic) < 0.5  # 0.4: users by rank


def test_posts_per_user_follow_the_power_law(posts):
    per_user = posts.user_id.value_counts()
    n, s = SIMULATION.n_users, SIMULATION.user_skew
    x = np.arange(1, n + 2.0)
    shares = np.diff(x ** (1 - s)) / ((n + 1) ** (1 - s) - 1)
    by_rank = per_user.reindex([f"u{rank:06d}" for rank in range(n)])
    np.testing.assert_allclose(by_rank, shares * SIMULATION.n_posts, atol=1)


def test_few_hashtags_carry_most_uses(posts):
    uses = posts.hashtags.explode().dropna().str.lower().value_counts()
    assert uses.iloc[0] > 0.1 * len(posts)
    assert uses.iloc[:20].sum() > 0.3 * uses.sum()
    assert len(uses) > 1000


def test_posts_of_a_user_come_in_bursts_within_ten_days(posts):
    quiet = posts[posts.n_user_posts < 60].sort_values(["user_id", "posted_at"])
    gaps = quiet.groupby("user_id").posted_at.diff() / 86_400
    assert (gaps.dropna() <= 10).mean() > 0.6
    assert (posts.posted_at < posts.collected_at).all()
    assert 0.005 < (posts.collected_at - posts.posted_at < 30 * 86_400).mean() < 0.05


def test_popularity_has_the_quantiles_of_the_public_labels(posts):
    """Within 0.15 (of a deviation of 2.5): users and hashtags are few enough to show in the whole."""
    inner = slice(1, -1)
    found = np.quantile(label(posts), LEVELS[inner])
    np.testing.assert_allclose(found, QUANTILES[inner], atol=0.15)


def test_effects_have_mean_0_and_deviation_1(posts):
    parts = truth(posts)[["user_effect", "hashtags_effect", "time_effect", "noise"]]
    np.testing.assert_allclose(parts.mean(), 0, atol=0.1)
    np.testing.assert_allclose(parts.std(), 1, atol=0.1)
    np.testing.assert_allclose(parts[["user_effect", "noise"]].std(), 1, atol=0.02)


def test_regression_finds_the_stated_weights(posts):
    """On the normal scores that the labels stand for, where the effects are linear."""
    inner = (label(posts) > 1.1) & (label(posts) < 16)  # below and above, the labels are level
    scores = np.interp(label(posts), QUANTILES[1:], norm.ppf(LEVELS[1:]))
    parts = truth(posts)
    names = ("user", "hashtags", "time", "image", "noise")
    design = np.column_stack(
        [parts["noise" if name == "noise" else f"{name}_effect"] for name in names] + [np.ones(len(posts))]
    )
    found, *_ = np.linalg.lstsq(design[inner], scores[inner], rcond=None)
    stated = np.array([WEIGHTS[name] for name in names]) / SIMULATION.weights.norm
    np.testing.assert_allclose(found, [*stated, 0], atol=0.02)


def test_a_perfect_model_reaches_what_the_noise_leaves(posts):
    """Spearman's rho of a bivariate normal: 6 / pi * asin(r / 2), with r the signal's share of the deviation."""
    r = np.sqrt(1 - (WEIGHTS["noise"] / SIMULATION.weights.norm) ** 2)
    rho = spearmanr(truth(posts).expected_popularity, label(posts)).statistic
    assert rho == pytest.approx(6 / np.pi * np.arcsin(r / 2), abs=0.02)


def test_the_expected_popularity_is_unbiased(posts):
    error = label(posts) - truth(posts).expected_popularity
    assert error.mean() == pytest.approx(0, abs=0.03)
    tenths = pd.qcut(truth(posts).expected_popularity, 10, labels=False)
    np.testing.assert_allclose(error.groupby(tenths).mean(), 0, atol=0.15)


def test_pure_noise_leaves_nothing_to_learn(spark):
    only_noise = {**dict.fromkeys(WEIGHTS, 0.0), "noise": 1.0}
    posts = in_pandas(simulate_posts(spark, with_settings(weights=only_noise, n_posts=5000), None))
    parts = truth(posts)
    assert parts.expected_popularity.nunique() == 1
    for name in ("user_effect", "hashtags_effect", "time_effect", "image_effect"):
        assert abs(spearmanr(parts[name], label(posts)).statistic) < 0.05


def test_without_noise_the_expectation_is_the_label(spark):
    posts = in_pandas(simulate_posts(spark, with_settings(weights={**WEIGHTS, "noise": 0.0}, n_posts=2000), None))
    aged = (posts.n_views > 500).to_numpy()  # fewer views are rounded by more than 0.002
    np.testing.assert_allclose(label(posts)[aged], truth(posts).expected_popularity[aged], atol=0.003)


def test_posts_without_an_image_and_with_a_missing_one(posts):
    assert (posts.image_id == MISSING_IMAGE).sum() == 3
    assert posts.image_id.isna().mean() == pytest.approx(0.1, abs=0.01)
    imageless = posts.image_id.isna() | (posts.image_id == MISSING_IMAGE)
    assert (truth(posts).image_effect[imageless] == 0).all()
    assert (posts.n_media == posts.image_id.notna()).all()


def test_all_weights_zero_are_refused(spark):
    with pytest.raises(ConfigError) as error:
        simulate_posts(spark, with_settings(weights=dict.fromkeys(WEIGHTS, 0.0)), None)
    assert str(error.value) == (
        "All weights are 0.\n  where: simulation.weights\n  fix: give at least one, noise=1 for pure noise"
    )


def test_no_usable_image_is_refused(spark):
    none = spark.createDataFrame([], "image_id string, image_number bigint, image_effect double")
    with pytest.raises(ConfigError) as error:
        simulate_posts(spark, SIMULATION, none)
    assert str(error.value) == (
        "There is no usable image to write posts about.\n  where: images\n  got: 0 images of status ok"
    )
