"""Proof that the networks learn what is there, and nothing where nothing is.

Posts with known effects over the sample's real photographs: the truth beside each post says how well a perfect model
would rank, and how well one that sees the user and the time only, or the picture only. The same photographs stand in
training and test: whether an effect carries over to new photographs is not asked here. bench/effects.py does the same
on many more posts.
"""

from __future__ import annotations

import pytest

from bench.known_effects import EFFECTS, FIT, NOISE, read_images, write_examples
from popspark.training.cnn import train_cnn
from popspark.training.settings import CnnSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

N_POSTS = 6000  # 500 a user: with half of that the average of earlier posts says too little of a user


@pytest.fixture(scope="module")
def photographs(spark):
    return read_images(spark)


@pytest.fixture(scope="module")
def effects(spark, photographs, tmp_path_factory):
    """The examples, and the rank correlation that each kind of model can reach on the test split."""
    folder = tmp_path_factory.mktemp("effects") / "examples"
    return folder, write_examples(spark, photographs, EFFECTS, N_POSTS, folder)


@pytest.mark.parametrize("architecture", ["vscnn", "scnn", "vcnn"])
def test_a_model_reaches_what_it_could(effects, architecture, tmp_path):
    folder, limits = effects
    fitted = train_cnn(folder, tmp_path, CnnSettings(architecture=architecture, fit=FIT))
    found = fitted.metrics["test"]["spearman_rho"].value
    print(f"{architecture}: rho {found:.3f} of {limits[architecture]:.3f} possible")
    assert limits[architecture] > 0.4
    assert found >= 0.95 * limits[architecture]


def test_noise_teaches_nothing(spark, photographs, tmp_path):
    write_examples(spark, photographs, NOISE, N_POSTS, tmp_path / "examples")
    fitted = train_cnn(tmp_path / "examples", tmp_path / "work", CnnSettings(fit=FIT))
    found = fitted.metrics["test"]["spearman_rho"]
    # Four standard errors: the interval, of two, leaves 0 out in one of twenty runs, and each processor's is another.
    assert abs(found.value) < found.high - found.low
