"""Plans of families with weights: their versions say which."""

from __future__ import annotations

from pathlib import Path

import pytest

from popspark.features.plan import plan_features
from popspark.features.settings import FeatureSettings
from popspark.images import decode as codecs
from popspark.networks import weights as weights_module
from popspark.runtime.errors import WeightsError


def test_plan_of_random_weights_says_so() -> None:
    settings = FeatureSettings(families=("resnet50",), weights={"resnet50": "random"}, dtype="bfloat16", batch_size=3)
    (planned,) = plan_features(settings)
    assert planned.version == f"{codecs.VERSION}.1-random-bfloat16"
    assert (planned.weights, planned.weights_path) == ("random", None)
    assert planned.params == {"sha256": "random", "dtype": "bfloat16", "batch_size": 3}


def test_plan_of_a_file_of_weights_carries_its_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(weights_module, "load_parameters", lambda backbone, path: read.append(path))
    (tmp_path / "mine.pth").write_bytes(b"abc")
    sha256 = codecs.sha256(b"abc")
    weights = {"vgg19": str(tmp_path / "mine.pth")}
    (planned,) = plan_features(FeatureSettings(families=("vgg19",), weights=weights))
    assert planned.version == f"{codecs.VERSION}.1-{sha256[:12]}-float32"
    assert planned.weights == f"{tmp_path}/mine.pth:{sha256}"
    assert planned.weights_path == str(tmp_path / "mine.pth")
    assert read == [tmp_path / "mine.pth"], "read here, and not first on an executor"
    settings = FeatureSettings(families=("vgg19",), weights=weights, weights_sha256={"vgg19": "0" * 64})
    with pytest.raises(WeightsError, match=r"^The weights of vgg19 are not the file that was asked for\.\n"):
        plan_features(settings)
