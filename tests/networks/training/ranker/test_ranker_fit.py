"""The fit of a ranker: what it keeps, when it stops, and that a kill changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from popspark.networks.ranker import Ranker
from popspark.runtime.errors import TrainingError
from popspark.training.ranker.fit import cross_entropy, fit_ranker, pair_accuracy
from popspark.training.ranker.pairs import SplitPairs, pair_targets
from popspark.training.ranker.settings import RankerFitSettings


class Killed(BaseException):
    """Stands for a kill of the process."""


def made_pairs(generator: np.random.Generator, features: np.ndarray, n: int) -> SplitPairs:
    left, right = generator.integers(0, len(features), (2, n))
    margins = (features[left] - features[right]) @ [1.0, -2, 0.5]
    return SplitPairs({"margin": margins, "probability": 1 / (1 + np.exp(-margins))}, left, right)


def fit_small(checkpoint: Path, settings: RankerFitSettings, kill_at: int | None = None) -> tuple[Ranker, list, float]:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(60, 3)).astype(np.float32)
    pairs = {split: made_pairs(generator, features, n) for split, n in (("train", 90), ("valid", 60))}
    torch.manual_seed(0)
    network = Ranker(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2)), 8)
    train, targets = pairs["train"], pairs["train"].targets(settings.targets)

    def batches(seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = np.random.default_rng(seed).permutation(len(train))
        for start in range(0, len(order), settings.batch_size):
            if kill_at is not None and seed % 100_003 == kill_at and start:
                raise Killed
            rows = order[start : start + settings.batch_size]
            inputs = features[np.concatenate([train.left[rows], train.right[rows]])]
            yield torch.from_numpy(inputs), torch.from_numpy(targets[rows])

    def score() -> np.ndarray:
        with torch.inference_mode():
            scores: np.ndarray = network(torch.from_numpy(features)).numpy()
        return scores

    curves = fit_ranker(network, batches, score, pairs, settings, checkpoint)
    return network, curves, pair_accuracy(pairs["valid"], pairs["valid"].logits(score()))


SMALL = RankerFitSettings(n_epochs=6, batch_size=16, trunk_learning_rate=0.01, head_learning_rate=0.02)


@pytest.mark.parametrize("targets", ["hard", "probability"])
def test_the_best_epoch_is_kept(targets: Any, tmp_path: Path) -> None:
    _, curves, accuracy = fit_small(tmp_path / "c.pt", SMALL.model_copy(update={"targets": targets}))
    assert [line.epoch for line in curves] == list(range(7))
    assert accuracy == max(line.valid_accuracy for line in curves) > 0.85
    assert curves[-1].train_loss < curves[1].train_loss


def test_a_fit_killed_in_an_epoch_ends_bit_for_bit_the_same(tmp_path: Path) -> None:
    undisturbed, curves, _ = fit_small(tmp_path / "whole.pt", SMALL)
    with pytest.raises(Killed):
        fit_small(tmp_path / "killed.pt", SMALL, kill_at=4)
    resumed, resumed_curves, _ = fit_small(tmp_path / "killed.pt", SMALL)
    assert [(c.train_loss, c.valid_loss) for c in resumed_curves] == [(c.train_loss, c.valid_loss) for c in curves]
    for a, b in zip(resumed.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_both_rates_fall_and_the_trunk_has_its_own(tmp_path: Path) -> None:
    fit_small(tmp_path / "c.pt", SMALL.model_copy(update={"n_epochs": 2}))
    groups = torch.load(tmp_path / "c.pt", weights_only=True)["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0.01 * 0.95**2, 0.02 * 0.95**2])
    assert [group["weight_decay"] for group in groups] == [1e-4, 1e-4]


def test_patience_ends_a_fit_that_gets_no_better(tmp_path: Path) -> None:
    _, curves, _ = fit_small(
        tmp_path / "c.pt", SMALL.model_copy(update={"n_epochs": 200, "patience": 3, "lr_factor": 1.0})
    )
    best = max(range(len(curves)), key=lambda i: (curves[i].valid_accuracy, -curves[i].valid_loss))
    assert len(curves) - 1 - best == 3


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^The ranker's loss or scores are not finite\.\n  where: epoch 1\n"):
        fit_small(tmp_path / "c.pt", SMALL.model_copy(update={"trunk_learning_rate": 1e30, "n_epochs": 3}))
    assert not (tmp_path / "c.pt").exists()


def test_targets_and_the_loss_in_closed_form() -> None:
    margins, probabilities = np.array([2.0, -0.1, 0.0]), np.array([0.9, 0.4, 0.5])
    assert pair_targets(margins, probabilities, "hard").tolist() == [1.0, 0.0, 0.5]
    np.testing.assert_allclose(pair_targets(margins, probabilities, "probability"), probabilities, rtol=1e-6)
    p = 1 / (1 + np.exp(-1.5))
    assert cross_entropy(np.array([1.5]), np.array([0.3])) == pytest.approx(-0.3 * np.log(p) - 0.7 * np.log(1 - p))
    assert cross_entropy(np.array([5000.0]), np.array([1.0])) == 0.0
