"""Examples to a fitted CNN: reduce on the training split, write the reduced rows, fit, measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import nn

from popspark.evaluation.metrics import METRICS, Estimate, bootstrap, mse, spearman_rho
from popspark.models.bundle import Reduction
from popspark.networks.devices import choose_device
from popspark.networks.vscnn import TOWERS, PopularityCNN, initialise
from popspark.runtime.errors import TrainingError
from popspark.storage.examples import SPLITS
from popspark.training.examples import find_examples
from popspark.training.feed import count_rows, parquet_files, read_epoch
from popspark.training.fitting import Learner, fit
from popspark.training.reduction import MODALITIES, fit_reduction, write_reduced
from popspark.training.settings import CnnFitSettings, CnnSettings

Values = npt.NDArray[np.float32]
PREDICTED_ROWS = 1024
"""At once, of rows in memory."""


@dataclass(frozen=True)
class CnnEpoch:
    """One line of the curves. train_loss: mean squared error with dropout. rows_per_second: of the training rows."""

    epoch: int
    train_loss: float
    valid_mse: float
    valid_rho: float
    rows_per_second: float


@dataclass(frozen=True)
class FittedCNN:
    """scores: predictions of the training split, the bundle's reference. metrics: by split and name."""

    network: PopularityCNN
    reductions: Mapping[str, Reduction]
    curves: Sequence[CnnEpoch]
    scores: Values
    metrics: Mapping[str, Mapping[str, Estimate]]
    n_rows: Mapping[str, int]


def predict(
    network: nn.Module, files: Sequence[Path], inputs: Mapping[str, str], batch_size: int = 1024
) -> tuple[Values, Values]:
    """Labels and predictions (N,) of the rows of Parquet files. inputs: by the network's input, the column it reads."""
    network.eval()
    labels, predicted = [], []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for batch in read_epoch(files, ["label", *inputs.values()], batch_size, epoch=0):
            predicted.append(network({name: batch[column].to(device) for name, column in inputs.items()}).cpu().numpy())
            labels.append(batch["label"].numpy())
    return np.concatenate(labels), np.concatenate(predicted)


def predict_rows(network: nn.Module, inputs: Mapping[str, Values]) -> Values:
    """Predictions (N,) of rows in memory, in their order. inputs: by the network's input, (N, length)."""
    network.eval()
    device = next(network.parameters()).device
    predicted = []
    with torch.inference_mode():
        for start in range(0, len(next(iter(inputs.values()))), PREDICTED_ROWS):
            batch = {name: torch.from_numpy(rows[start : start + PREDICTED_ROWS]) for name, rows in inputs.items()}
            predicted.append(network({name: rows.to(device) for name, rows in batch.items()}).cpu().numpy())
    return np.concatenate(predicted)


def make_optimizer(network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Adam, all parameters in one kernel: at batches of 20 the update is the larger part of a step otherwise."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: Any, inputs: Mapping[str, str], progress: Any
) -> float:
    """One pass; the mean loss over rows. progress: its `update` is told the rows of each step."""
    network.train()
    device = next(network.parameters()).device
    total, n_rows = torch.zeros((), device=device), 0
    for batch in batches:
        label = batch["label"].to(device)
        if len(label) == 1:  # batch norm cannot train on one row; it comes round in another order next epoch
            continue
        loss = nn.functional.mse_loss(network({name: batch[c].to(device) for name, c in inputs.items()}), label)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(label)
        n_rows += len(label)
        progress.update(len(label))
    return float(total) / max(n_rows, 1)


def fit_network(
    network: nn.Module,
    folder: Path,
    inputs: Mapping[str, str],
    settings: CnnFitSettings,
    checkpoint: Path,
    title: str = "fit",
    show_progress: bool = True,
) -> list[CnnEpoch]:
    """Fits `network` on `folder`/split=train and leaves it with the parameters of the best epoch by validation MSE.

    inputs: by the network's input, the column it reads. checkpoint: as of `popspark.training.fitting.fit`. Returns the
    curves. Raises `TrainingError` for a loss or predictions that are not finite.
    """
    network.to(torch.device(choose_device(settings.device, None, None, torch.cuda.device_count())))
    train, columns = parquet_files(folder / "split=train"), ["label", *inputs.values()]
    optimizer = make_optimizer(network, settings.learning_rate)

    def train_once(seed: int, progress: Any) -> float:
        return train_epoch(network, optimizer, read_epoch(train, columns, settings.batch_size, seed), inputs, progress)

    def validate(epoch: int, loss: float | None, rows_per_second: float | None) -> CnnEpoch:
        assert loss is not None
        assert rows_per_second is not None
        if not np.isfinite(loss):
            raise TrainingError(
                "The training loss is not finite.",
                where=f"epoch {epoch}",
                got=loss,
                fix="lower learning_rate, or look for extreme features or labels",
            )
        truth, predicted = predict(network, parquet_files(folder / "split=valid"), inputs)
        if not np.isfinite(predicted).all():
            raise TrainingError(
                "Predictions for the validation split are not finite.",
                where=f"epoch {epoch}",
                got=f"{np.count_nonzero(~np.isfinite(predicted))} of {len(predicted)}",
                fix="exclude features that are not finite when the examples are built",
            )
        return CnnEpoch(epoch, loss, mse(truth, predicted), spearman_rho(truth, predicted), rows_per_second)

    learner = Learner(
        network=network,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.StepLR(optimizer, settings.lr_step_epochs, settings.lr_factor),
        train=train_once,
        validate=validate,
        errors=lambda line: (line.valid_mse,),
        line=CnnEpoch,
        n_rows=count_rows(train),
    )
    return fit(learner, settings, checkpoint, title, show_progress)


def fit_cnn(
    reduced: Path,
    inputs: Mapping[str, str],
    towers: Mapping[str, tuple[int, int]],
    settings: CnnSettings,
    checkpoint: Path,
    show_progress: bool = True,
) -> tuple[PopularityCNN, list[CnnEpoch]]:
    """A network on the columns of `reduced`, its parameters rounded to what a bundle stores; and its curves."""
    torch.manual_seed(settings.fit.seed)
    network = PopularityCNN(towers)
    labels = pq.read_table(reduced / "split=train", columns=["label"], partitioning=None)["label"]
    initialise(network, settings.initialisation, mean_label=pc.mean(labels).as_py())
    curves = fit_network(network, reduced, inputs, settings.fit, checkpoint, settings.architecture, show_progress)
    network.half().float()  # measured and released are the same numbers
    return network, curves


def train_cnn(examples: Path, work: Path, settings: CnnSettings) -> FittedCNN:
    """Trains on the examples table; resumes an earlier, killed call with the same examples and settings.

    work: has a folder for each examples and settings. Raises `TrainingError` where a split has no rows.
    """
    found = find_examples(examples)
    towers = TOWERS[settings.architecture]
    reductions = {
        modality: fit_reduction(found.by_split["train"], MODALITIES[modality].columns, length, settings.scale_first)
        for modality, (length, _) in towers.items()
    }
    work = work / found.fingerprint(settings)
    work.mkdir(parents=True, exist_ok=True)
    write_reduced(found, work / "reduced", reductions)
    inputs = {modality: modality for modality in towers}
    network, curves = fit_cnn(work / "reduced", inputs, towers, settings, work / "checkpoint.pt")
    predictions = {
        split: predict(network, parquet_files(work / "reduced" / f"split={split}"), inputs) for split in SPLITS
    }
    metrics = {
        split: {name: bootstrap(metric, *predictions[split]) for name, metric in METRICS.items()} for split in SPLITS
    }
    return FittedCNN(network, reductions, curves, predictions["train"][1], metrics, found.n_rows)
