"""The fitting loop of the CNNs (VSCNN, section V-B): Adam, a step schedule, the best validation checkpoint kept.

An epoch's order and dropout follow from the seed and the epoch's number alone, so a fit that was killed and resumed
from its checkpoint ends with the same network as one that was not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from popspark.evaluation.metrics import mse, spearman_rho
from popspark.networks.devices import choose_device
from popspark.runtime.errors import TrainingError
from popspark.training.feed import count_rows, read_epoch
from popspark.training.settings import CnnFitSettings

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Epoch:
    """One line of the curves. train_loss: mean squared error with dropout. rows_per_second: of the training part."""

    epoch: int
    train_loss: float
    valid_mse: float
    valid_rho: float
    rows_per_second: float


def predict(
    network: nn.Module, folder: Path, inputs: Mapping[str, str], batch_size: int = 1024
) -> tuple[Values, Values]:
    """Labels and predictions (N,) of the rows of `folder`. inputs: by the network's input, the column it reads."""
    network.eval()
    labels, predicted = [], []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for batch in read_epoch(folder, ["label", *inputs.values()], batch_size, epoch=0):
            predicted.append(network({name: batch[column].to(device) for name, column in inputs.items()}).cpu().numpy())
            labels.append(batch["label"].numpy())
    return np.concatenate(labels), np.concatenate(predicted)


def predict_rows(network: nn.Module, inputs: Mapping[str, Values], batch_size: int = 1024) -> Values:
    """Predictions (N,) of rows in memory, in their order. inputs: by the network's input, (N, length)."""
    network.eval()
    device = next(network.parameters()).device
    predicted = []
    with torch.inference_mode():
        for start in range(0, len(next(iter(inputs.values()))), batch_size):
            part = {name: torch.from_numpy(rows[start : start + batch_size]) for name, rows in inputs.items()}
            predicted.append(network({name: rows.to(device) for name, rows in part.items()}).cpu().numpy())
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


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all: a kill while writing leaves the checkpoint before."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def copy_parameters(network: nn.Module) -> dict[str, torch.Tensor]:
    """By name, as they are now."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def _epochs_since_best(curves: Sequence[Epoch]) -> int:
    """0 where the last epoch is the best by validation so far, or there is none."""
    errors = [line.valid_mse for line in curves]
    return len(errors) - 1 - errors.index(min(errors)) if errors else 0


def fit(
    network: nn.Module,
    folder: Path,
    inputs: Mapping[str, str],
    settings: CnnFitSettings,
    checkpoint: Path,
    label: str = "fit",
    feed: Callable[..., Any] = read_epoch,
    show_progress: bool = True,
) -> list[Epoch]:
    """Fits `network` on `folder`/split=train and leaves it with the parameters of the best epoch by validation MSE.

    inputs: by the network's input, the column it reads. checkpoint: written after each epoch, and resumed from where
    it exists. Returns the curves. Raises `TrainingError` for a loss that is not finite.
    """
    device = torch.device(choose_device(settings.device, None, None, torch.cuda.device_count()))
    network.to(device)
    train, valid = folder / "split=train", folder / "split=valid"
    n_train, columns = count_rows(train), ["label", *inputs.values()]
    optimizer = make_optimizer(network, settings.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, settings.lr_step_epochs, settings.lr_factor)
    curves: list[Epoch] = []
    best = copy_parameters(network)
    if checkpoint.is_file():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        best, curves = saved["best"], [Epoch(**line) for line in saved["curves"]]
    for epoch in range(len(curves), settings.n_epochs):
        if settings.patience is not None and _epochs_since_best(curves) >= settings.patience:
            break
        seed = settings.seed * 100_003 + epoch
        start = time.perf_counter()
        title = f"{label} epoch {epoch + 1}/{settings.n_epochs}"
        with tqdm(total=n_train, desc=title, unit="row", leave=False, disable=not show_progress) as bar:
            batches = feed(train, columns, settings.batch_size, seed)
            loss = train_epoch(network, optimizer, batches, inputs, bar)
        seconds = time.perf_counter() - start
        schedule.step()
        if not np.isfinite(loss):
            raise TrainingError(
                "The training loss is not finite.",
                where=f"epoch {epoch + 1}",
                got=loss,
                fix="lower learning_rate, or look for extreme features or labels",
            )
        truth, predicted = predict(network, valid, inputs)
        if not np.isfinite(predicted).all():
            raise TrainingError(
                "Predictions for the validation split are not finite.",
                where=f"epoch {epoch + 1}",
                got=f"{np.count_nonzero(~np.isfinite(predicted))} of {len(predicted)}",
                fix="exclude features that are not finite when the examples are built",
            )
        line = Epoch(epoch + 1, loss, mse(truth, predicted), spearman_rho(truth, predicted), n_train / seconds)
        curves.append(line)
        if _epochs_since_best(curves) == 0:
            best = copy_parameters(network)
        save_checkpoint(
            checkpoint,
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "best": best,
                "curves": [asdict(entry) for entry in curves],
            },
        )
    network.load_state_dict(best)
    return curves
