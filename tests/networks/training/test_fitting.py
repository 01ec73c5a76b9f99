"""The fitting loop: what it keeps, when it stops, and that a kill changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from popspark.evaluation.metrics import mse
from popspark.runtime.errors import TrainingError
from popspark.training import cnn
from popspark.training.cnn import CnnEpoch, fit_network, predict
from popspark.training.feed import parquet_files, read_epoch
from popspark.training.settings import CnnFitSettings

INPUTS = {"visual": "features"}


class Small(nn.Module):
    """With dropout and batch norm, so that an order or a random draw that differs shows in the parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        scores: torch.Tensor = self.layers(inputs["visual"]).squeeze(1)
        return scores


def write(folder: Path, split: str, features: np.ndarray, label: np.ndarray) -> None:
    (folder / f"split={split}").mkdir(parents=True)
    table = pa.table({"features": pa.array(list(features.astype(np.float32))), "label": label.astype(np.float32)})
    pq.write_table(table, folder / f"split={split}" / "part-0.parquet")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    generator = np.random.default_rng(6)
    for split, n in (("train", 41), ("valid", 20)):  # 41 rows in batches of 20: the last has one, which is skipped
        features = generator.normal(size=(n, 4))
        write(folder, split, features, features @ [1, -2, 0, 1] + 3)
    return folder


def parameters(network: nn.Module) -> list[np.ndarray]:
    return [value.numpy().copy() for value in network.state_dict().values()]


def assert_identical(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def without_times(curves: Sequence[CnnEpoch]) -> list[tuple]:
    return [(c.epoch, c.train_loss, c.valid_mse, c.valid_rho) for c in curves]


def test_a_fit_learns_and_keeps_the_best_epoch(examples: Path, tmp_path: Path) -> None:
    network = Small()
    curves = fit_network(network, examples, INPUTS, CnnFitSettings(n_epochs=5, learning_rate=0.05), tmp_path / "c.pt")
    assert [line.epoch for line in curves] == [1, 2, 3, 4, 5]
    assert curves[-1].train_loss < curves[0].train_loss
    measured = mse(*predict(network, parquet_files(examples / "split=valid"), INPUTS))
    assert measured == pytest.approx(min(line.valid_mse for line in curves), rel=1e-6)


def test_later_and_worse_epochs_are_not_kept(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation as a script: the second epoch is the best, the third and fourth are not, and patience is two."""
    errors = iter([3.0, 1.0, 2.0, 1.5, 0.1])
    seen: list[list[np.ndarray]] = []

    def scripted(network: nn.Module, *_: Any) -> tuple[np.ndarray, np.ndarray]:
        seen.append(parameters(network))
        return np.array([0.0, 0.0]), np.sqrt([next(errors)] * 2)

    monkeypatch.setattr(cnn, "predict", scripted)
    network = Small()
    curves = fit_network(network, examples, INPUTS, CnnFitSettings(n_epochs=9, patience=2), tmp_path / "c.pt")
    assert [line.valid_mse for line in curves] == pytest.approx([3.0, 1.0, 2.0, 1.5])
    assert_identical(parameters(network), seen[1])
    assert not np.array_equal(seen[1][0], seen[3][0])
    # Called again, a fit that had stopped stays as it was.
    again = Small()
    again_curves = fit_network(again, examples, INPUTS, CnnFitSettings(n_epochs=9, patience=2), tmp_path / "c.pt")
    assert repr(again_curves) == repr(curves)  # by their text, as rho is NaN
    assert_identical(parameters(again), seen[1])


class Killed(BaseException):
    """Stands for a kill of the process."""


def killing_feed(kill_in_epoch: int) -> Callable[..., Iterator[Any]]:
    def feed(files: Sequence[Path], columns: Sequence[str], batch_size: int, epoch: int) -> Iterator[Any]:
        for n, batch in enumerate(read_epoch(files, columns, batch_size, epoch)):
            if epoch % 100_003 == kill_in_epoch and n == 1:
                raise Killed
            yield batch

    return feed


def test_a_fit_killed_in_the_middle_of_an_epoch_ends_bit_for_bit_the_same(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CnnFitSettings(n_epochs=4, lr_step_epochs=2, learning_rate=0.02, seed=7)
    undisturbed = Small()
    curves = fit_network(undisturbed, examples, INPUTS, settings, tmp_path / "whole.pt")
    monkeypatch.setattr(cnn, "read_epoch", killing_feed(2))
    with pytest.raises(Killed):
        fit_network(Small(), examples, INPUTS, settings, tmp_path / "killed.pt")
    monkeypatch.undo()
    resumed = Small()
    torch.manual_seed(12345)  # a new process has another random state
    resumed_curves = fit_network(resumed, examples, INPUTS, settings, tmp_path / "killed.pt")
    assert without_times(resumed_curves) == without_times(curves)
    assert_identical(parameters(resumed), parameters(undisturbed))
    assert not (tmp_path / "killed.partial").exists()


def test_the_rate_falls_by_steps(examples: Path, tmp_path: Path) -> None:
    settings = CnnFitSettings(n_epochs=2, lr_step_epochs=1, lr_factor=0.1)
    fit_network(Small(), examples, INPUTS, settings, tmp_path / "c.pt")
    saved = torch.load(tmp_path / "c.pt", weights_only=True)
    assert saved["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-5)


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    write(tmp_path, "train", np.ones((8, 4)), np.array([1e30] * 8))
    with pytest.raises(TrainingError) as raised:
        fit_network(Small(), tmp_path, INPUTS, CnnFitSettings(n_epochs=3), tmp_path / "c.pt")
    assert str(raised.value) == (
        "The training loss is not finite.\n"
        "  where: epoch 1\n"
        "  got: inf\n"
        "  fix: lower learning_rate, or look for extreme features or labels"
    )
    assert not (tmp_path / "c.pt").exists()


def test_validation_features_that_are_not_finite(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    write(tmp_path, "train", generator.normal(size=(8, 4)), np.ones(8))
    write(tmp_path, "valid", np.array([[1.0, 2, 3, 4], [1, np.nan, 3, 4]]), np.ones(2))
    with pytest.raises(TrainingError) as raised:
        fit_network(Small(), tmp_path, INPUTS, CnnFitSettings(n_epochs=3), tmp_path / "c.pt")
    assert str(raised.value) == (
        "Predictions for the validation split are not finite.\n"
        "  where: epoch 1\n"
        "  got: 1 of 2\n"
        "  fix: exclude features that are not finite when the examples are built"
    )


def test_predict_pairs_each_label_with_its_own_row(examples: Path) -> None:
    network = Small()
    label, predicted = predict(network, parquet_files(examples / "split=valid"), INPUTS, batch_size=6)
    rows = pq.read_table(examples / "split=valid").to_pydict()
    with torch.inference_mode():
        expected = network.eval()({"visual": torch.tensor(rows["features"])}).numpy()
    order, by_label = np.argsort(label), np.argsort(rows["label"])
    np.testing.assert_allclose(predicted[order], expected[by_label], rtol=1e-5, atol=1e-6)
