"""From an examples folder to a bundle whose scores are those of the network that was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from popspark.models.bundle import Bundle, load_bundle, quantiles, write_bundle
from popspark.models.predictor import Predictor
from popspark.networks.vscnn import TOWERS
from popspark.runtime.errors import TrainingError
from popspark.training.cnn import FittedCNN, train_cnn
from popspark.training.settings import CnnFitSettings, CnnSettings

FAMILIES = {"color": 16, "lbp": 14}
N_SOCIAL = 34
SPLITS = {"train": 60, "valid": 25, "test": 25}


def settings(architecture: str = "vcnn", **changes: object) -> CnnSettings:
    fit = CnnFitSettings(n_epochs=2, device="cpu")
    return CnnSettings.model_validate({"architecture": architecture, "fit": fit, **changes})


def write_examples(folder: Path, seed: int = 9) -> Path:
    generator = np.random.default_rng(seed)
    for split, n in SPLITS.items():
        visual = generator.gamma(2.0, size=(n, sum(FAMILIES.values()))).astype(np.float32)
        social = generator.normal(5, 20, size=(n, N_SOCIAL)).astype(np.float32)
        label = (visual[:, 0] + social[:, 0] / 20 + 5).astype(np.float32)
        (folder / f"split={split}").mkdir(parents=True)
        columns = {"label": label, "visual": pa.array(list(visual)), "social": pa.array(list(social))}
        pq.write_table(pa.table(columns), folder / f"split={split}" / "part-0.parquet")
    return folder


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("examples"))


def read_test_split(examples: Path) -> dict[str, np.ndarray]:
    rows = pq.read_table(examples / "split=test" / "part-0.parquet")
    return {name: np.array(rows[name].to_pylist(), np.float32) for name in ("label", "visual", "social")}


def network_scores(fitted: FittedCNN, rows: dict[str, np.ndarray]) -> np.ndarray:
    values = {
        "visual": rows["visual"],
        "social": rows["social"],
        "fused": np.hstack([rows["visual"], rows["social"]]),
    }
    inputs = {name: torch.from_numpy(reduction(values[name])) for name, reduction in fitted.reductions.items()}
    with torch.inference_mode():
        return fitted.network.eval()(inputs).numpy()


@pytest.mark.parametrize("architecture", ["vscnn", "vcnn", "vscnn_ef"])
def test_a_bundle_scores_as_the_network_that_was_trained(architecture: str, examples: Path, tmp_path: Path) -> None:
    fitted = train_cnn(examples, tmp_path / "work", settings(architecture))
    manifest = {
        "name": "tiny",
        "version": "1",
        "kind": architecture,
        "features": [{"name": name, "version": "1", "dim": dim} for name, dim in FAMILIES.items()],
        "network": {"towers": TOWERS[architecture]},
    }
    network = {name: value.numpy() for name, value in fitted.network.state_dict().items()}
    write_bundle(Bundle(manifest, network, fitted.reductions, quantiles(fitted.scores)), tmp_path / "tiny", "")
    predictor = Predictor(load_bundle(tmp_path / "tiny"))

    rows = read_test_split(examples)
    assert predictor.bundle.needs_social == (architecture != "vcnn")
    projected = sum(
        predictor.project(name, values)
        for name, values in zip(FAMILIES, np.split(rows["visual"], [FAMILIES["color"]], axis=1), strict=True)
    )
    social = rows["social"] if predictor.bundle.needs_social else np.empty((len(projected), 0), np.float32)
    scores = predictor.score(projected, social)
    assert scores.dtype == np.float64
    expected = network_scores(fitted, rows)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert fitted.metrics["test"]["mae"].value == pytest.approx(np.abs(scores - rows["label"]).mean(), abs=1e-4)
    assert fitted.n_rows == SPLITS
    assert len(fitted.curves) == 2
    assert len(fitted.scores) == SPLITS["train"]


def parameters(fitted: FittedCNN) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in fitted.network.parameters()])


def test_called_again_it_goes_on_and_with_anything_else_it_starts_anew(examples: Path, tmp_path: Path) -> None:
    first = train_cnn(examples, tmp_path / "work", settings())
    again = train_cnn(examples, tmp_path / "work", settings())
    assert again.curves == first.curves
    assert torch.equal(parameters(again), parameters(first))
    elsewhere = train_cnn(examples, tmp_path / "elsewhere", settings())
    assert torch.equal(parameters(elsewhere), parameters(first))

    unscaled = train_cnn(examples, tmp_path / "work", settings(scale_first=False))
    assert not torch.equal(parameters(unscaled), parameters(first))
    other_examples = write_examples(tmp_path / "other", seed=10)
    other = train_cnn(other_examples, tmp_path / "work", settings())
    assert other.metrics["test"]["mae"].value == pytest.approx(
        np.abs(network_scores(other, rows := read_test_split(other_examples)) - rows["label"]).mean(), abs=1e-4
    )


def test_the_paper_s_initialisation_starts_elsewhere(examples: Path, tmp_path: Path) -> None:
    fitted = train_cnn(examples, tmp_path, settings(initialisation="paper"))
    assert 0.5 < fitted.network.fusion[0].weight.std().item() < 0.65  # uniform in [-1, 1]: 0.577


def test_the_standard_initialisation_starts_at_the_training_labels_mean(examples: Path, tmp_path: Path) -> None:
    fit = CnnFitSettings(n_epochs=1, learning_rate=1e-7, device="cpu")
    fitted = train_cnn(examples, tmp_path, CnnSettings(architecture="vcnn", fit=fit))
    mean = pq.read_table(examples / "split=train" / "part-0.parquet")["label"].to_numpy().mean()
    assert mean > 5
    assert fitted.scores.mean() == pytest.approx(mean, abs=0.3)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_split_without_rows(tmp_path: Path, is_there: bool) -> None:
    examples = write_examples(tmp_path / "examples")
    file = examples / "split=valid" / "part-0.parquet"
    if is_there:
        pq.write_table(pq.read_table(file).slice(0, 0), file)
    else:
        file.unlink()
        file.parent.rmdir()
    with pytest.raises(TrainingError) as raised:
        train_cnn(examples, tmp_path / "work", settings())
    assert str(raised.value) == (
        f"A split has no rows.\n  where: {file.parent}\n  legal: rows in each of train, valid, test"
    )
