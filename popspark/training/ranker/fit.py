"""The fit of the ranker (Ding, Ma and Wang 2019, section 4): cross entropy on the difference of two scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from popspark.evaluation.metrics import pair_hits
from popspark.networks.ranker import Ranker, pair_logits
from popspark.runtime.errors import TrainingError
from popspark.training.fitting import Learner, fit
from popspark.training.ranker.pairs import SplitPairs
from popspark.training.ranker.settings import RankerFitSettings

TrainBatches = Callable[[int], Iterator[tuple[torch.Tensor, torch.Tensor]]]
"""The epoch's seed to batches on the device: inputs (2B, ...), left before right, and targets (B,)."""


@dataclass(frozen=True)
class RankerEpoch:
    """One line of the curves; epoch 0 is the start, before any training. Losses are mean cross entropies."""

    epoch: int
    train_loss: float | None
    valid_loss: float
    valid_accuracy: float
    pairs_per_second: float | None


def cross_entropy(logits: npt.NDArray[Any], targets: npt.NDArray[Any]) -> float:
    """Mean of -t log p - (1 - t) log(1 - p), p = sigmoid(logit), without overflow."""
    logits = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def pair_accuracy(pairs: SplitPairs, logits: npt.NDArray[Any]) -> float:
    """The share of pairs ranked as they were; those of equal popularity left out, no preference counts half."""
    decided = pairs.columns["margin"] != 0
    return float(pair_hits(pairs.columns["margin"][decided], logits[decided]).mean())


def make_optimizer(network: Ranker, settings: RankerFitSettings) -> torch.optim.Optimizer:
    """Adam with a rate for the trunk, where there is one to fit, and one for the head."""
    groups = [
        {"params": list(network.trunk.parameters()), "lr": settings.trunk_learning_rate},
        {"params": list(network.head.parameters()), "lr": settings.head_learning_rate},
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], weight_decay=settings.weight_decay)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, scaler: GradScaler, batches: Any, progress: Any
) -> float:
    """One pass; the mean loss over pairs. Mixed precision where the scaler is enabled."""
    network.train()
    total, n_pairs = 0.0, 0
    for inputs, targets in batches:
        with torch.autocast(inputs.device.type, torch.float16, enabled=scaler.is_enabled()):
            scores = network(inputs)
        loss = nn.functional.binary_cross_entropy_with_logits(pair_logits(scores.float()), targets)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        total += float(loss.detach()) * len(targets)
        n_pairs += len(targets)
        progress.update(len(targets))
    return total / max(n_pairs, 1)


def fit_ranker(
    network: Ranker,
    train_batches: TrainBatches,
    score_valid: Callable[[], npt.NDArray[Any]],
    pairs: dict[str, SplitPairs],
    settings: RankerFitSettings,
    checkpoint: Path,
) -> list[RankerEpoch]:
    """Fits the network and leaves it with the parameters of the epoch that ranks most validation pairs right.

    score_valid: the scores (number of images,) of the validation split's images by the network as it is.
    checkpoint: as of `popspark.training.fitting.fit`. Raises `TrainingError` for a loss or a score that is not finite.
    """
    device = network.head.weight.device
    valid = pairs["valid"]
    optimizer = make_optimizer(network, settings)
    scaler = GradScaler(device.type, enabled=device.type == "cuda")

    def train(seed: int, progress: Any) -> float:
        return train_epoch(network, optimizer, scaler, train_batches(seed), progress)

    def validate(epoch: int, loss: float | None, pairs_per_second: float | None) -> RankerEpoch:
        network.eval()
        logits = valid.logits(score_valid())
        if (loss is not None and not np.isfinite(loss)) or not np.isfinite(logits).all():
            raise TrainingError(
                "The ranker's loss or scores are not finite.",
                where=f"epoch {epoch}",
                got=f"training loss {loss}, {np.count_nonzero(~np.isfinite(logits))} of {len(logits)} validation pairs",
                fix="lower the learning rates",
            )
        targets = valid.targets(settings.targets)
        return RankerEpoch(epoch, loss, cross_entropy(logits, targets), pair_accuracy(valid, logits), pairs_per_second)

    learner = Learner(
        network=network,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.ExponentialLR(optimizer, settings.lr_factor),
        train=train,
        validate=validate,
        errors=lambda line: (-line.valid_accuracy, line.valid_loss),
        line=RankerEpoch,
        n_rows=len(pairs["train"]),
        is_start_measured=True,
        scaler=scaler,
    )
    return fit(learner, settings, checkpoint, "ranker")
