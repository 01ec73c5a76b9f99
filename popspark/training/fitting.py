"""The fitting loop of every network: an epoch, its validation, a checkpoint; the best epoch's parameters are kept.

What an epoch draws follows from the seed and the epoch's number alone, so a fit that was killed and goes on from its
checkpoint ends with the same network, bit for bit, as one that was not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from tqdm import tqdm

from popspark.training.settings import FitSettings


class Epoch(Protocol):
    """One line of a fit's curves, a dataclass. epoch: from 1; 0 is the start, before any training."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def epoch(self) -> int: ...


E = TypeVar("E", bound=Epoch)


@dataclass(frozen=True)
class Learner(Generic[E]):
    """A network with what fits it and what measures it.

    train: one pass over the training split under a seed; tells the bar the rows of each step; returns the mean loss.
    validate: a line of the curves from the epoch's number, its loss and its rows a second, both None at the start;
    raises `TrainingError` where they, or the network's predictions, are not finite.
    errors: of a line; the epoch with the smallest is kept, of equal ones the first. line: the lines' own class.
    n_rows: of the training split. is_start_measured: whether the network as it starts is validated and may be kept.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    train: Callable[[int, Any], float]
    validate: Callable[[int, float | None, float | None], E]
    errors: Callable[[E], tuple[float, ...]]
    line: type[E]
    n_rows: int
    is_start_measured: bool = False
    scaler: GradScaler = field(default_factory=lambda: GradScaler(enabled=False))

    def best_epoch(self, curves: list[E]) -> int:
        """The index of the line that is kept."""
        return min(range(len(curves)), key=lambda i: self.errors(curves[i]))


def _copy_parameters(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _save(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all: a kill while writing leaves the checkpoint before."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def fit(
    learner: Learner[E], settings: FitSettings, checkpoint: Path, title: str = "fit", show_progress: bool = True
) -> list[E]:
    """Fits the learner's network and leaves it with the parameters of its best epoch, in evaluation mode.

    checkpoint: written after each epoch, and gone on from where it exists. title: of the progress bar, which only a
    terminal shows. Returns the curves.
    """
    network = learner.network
    changing: dict[str, Any] = {
        "network": network,
        "optimizer": learner.optimizer,
        "schedule": learner.schedule,
        "scaler": learner.scaler,
    }
    if checkpoint.is_file():
        device = next(network.parameters()).device
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, one in changing.items():
            one.load_state_dict(saved[name])
        best, curves = saved["best"], [learner.line(**values) for values in saved["curves"]]
    else:
        best = _copy_parameters(network)
        curves = [learner.validate(0, None, None)] if learner.is_start_measured else []
    while (n_done := curves[-1].epoch if curves else 0) < settings.n_epochs:
        if settings.patience and curves and len(curves) - 1 - learner.best_epoch(curves) >= settings.patience:
            break
        seed = settings.seed * 100_003 + len(curves)
        torch.manual_seed(seed)  # for networks that draw, as in dropout
        start = time.perf_counter()
        description = f"{title} epoch {n_done + 1}/{settings.n_epochs}"
        with tqdm(
            total=learner.n_rows, desc=description, unit="row", leave=False, disable=None if show_progress else True
        ) as bar:
            loss = learner.train(seed, bar)
        seconds = time.perf_counter() - start
        learner.schedule.step()
        curves.append(learner.validate(n_done + 1, loss, learner.n_rows / seconds))
        if learner.best_epoch(curves) == len(curves) - 1:
            best = _copy_parameters(network)
        state = {name: one.state_dict() for name, one in changing.items()}
        _save(checkpoint, {**state, "best": best, "curves": [asdict(line) for line in curves]})
    network.load_state_dict(best)
    network.eval()
    return curves
