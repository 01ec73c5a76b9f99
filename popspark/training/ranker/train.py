"""Pair examples to a fitted ranker, with the trunk fitted too, or frozen: then each image passes it once.

With a frozen trunk the features of every image go into one file, mapped into memory, and only the head is fitted,
on features centred and scaled by the training images: minutes on a CPU. It starts from zero, or from the head that
the checkpoint brings: a random start would stay wherever the pairs do not reach.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from popspark.models.bundle import Reduction
from popspark.networks.backbones import BACKBONES, Backbone, crop, to_input
from popspark.networks.devices import choose_device
from popspark.networks.inference import load_features
from popspark.networks.ranker import Ranker, load_head, start_ranker
from popspark.networks.weights import PretrainedWeights, find_weights
from popspark.training.examples import ExampleFiles, find_examples
from popspark.training.ranker.fit import RankerEpoch, fit_ranker
from popspark.training.ranker.images import measure_images, read_crops
from popspark.training.ranker.pairs import PairTable, load_pairs
from popspark.training.ranker.settings import RankerSettings

Floats = npt.NDArray[np.float32]
SCORED_TOGETHER = 32
"""Images a forward pass, where nothing is fitted."""


@dataclass(frozen=True)
class FittedRanker:
    """reduction: features (N, dim) to the score (N, 1). trunk: its parameters where it was fitted, or None.

    scores: (number of images,), of all images of `pairs`.
    """

    settings: RankerSettings
    weights: PretrainedWeights
    reduction: Reduction
    trunk: Mapping[str, npt.NDArray[Any]] | None
    curves: Sequence[RankerEpoch]
    pairs: PairTable
    scores: Floats


@dataclass(frozen=True)
class _Job:
    """One call: what it fits, from where, and where it keeps what a killed one had done."""

    examples: ExampleFiles
    work: Path
    checkpoint: Path
    pairs: PairTable
    weights: PretrainedWeights
    settings: RankerSettings
    device: torch.device


def train_ranker(examples: Path, work: Path, settings: RankerSettings) -> FittedRanker:
    """Trains on the pair_examples table; resumes an earlier, killed call with the same examples and settings.

    work: for features, and a checkpoint by examples and settings. Raises `TrainingError` where a split has no pairs.
    """
    weights = find_weights(settings.backbone, settings.weights, settings.weights_sha256)
    found = find_examples(examples)
    pairs = load_pairs(found)
    exact = settings.model_copy(update={"weights_sha256": weights.sha256})
    checkpoint = work / found.fingerprint(exact) / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    device = choose_device(settings.device, None, None, torch.cuda.device_count())
    job = _Job(found, work, checkpoint, pairs, weights, settings, torch.device(device))
    return _fit_head(job) if settings.is_frozen else _fit_whole(job)


def _n_threads() -> int:
    return os.cpu_count() or 1


def _frozen_features(job: _Job) -> Floats:
    """(number of images, dim), a file mapped into memory; what an earlier, killed call has found stays."""
    of_features = RankerSettings(backbone=job.settings.backbone, weights_sha256=job.weights.sha256)
    path = job.work / f"features-{job.examples.fingerprint(of_features)}.npy"
    shape = (len(job.pairs.images), BACKBONES[job.settings.backbone].dim)
    if not path.is_file():
        partial = path.with_suffix(".partial")
        np.lib.format.open_memmap(partial, "w+", np.float32, shape)[:] = np.nan
        partial.rename(path)
    values: Floats = np.lib.format.open_memmap(path, "r+")
    if np.isnan(values[:, 0]).any():
        features = load_features(
            job.settings.backbone, job.weights.path, job.weights.sha256, str(job.device), "float32", SCORED_TOGETHER
        )
        measure_images(
            job.examples.all,
            job.pairs.images,
            features.prepare,
            features.forward,
            values,
            SCORED_TOGETHER,
            _n_threads(),
        )
    return values


def _in_blocks(rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The rows in runs of some 1,024, which are read at once."""
    return np.array_split(rows, max(1, len(rows) // 1024))


def _moments(features: Floats, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean and scale (dim,) of these rows, read a block at a time.

    The scale is one for all, the root mean square of the deviations: a scale for each feature would make those that
    hardly vary as loud as the others.
    """
    blocks = _in_blocks(rows)
    mean = sum(features[block].sum(axis=0, dtype=np.float64) for block in blocks) / len(rows)
    square = sum(float(((features[block] - mean) ** 2).sum()) for block in blocks) / (len(rows) * features.shape[1])
    return mean, np.full(features.shape[1], np.sqrt(square) or 1.0)


def _fit_head(job: _Job) -> FittedRanker:
    features = _frozen_features(job)
    center, scale = _moments(features, job.pairs.splits["train"].images)
    backbone = BACKBONES[job.settings.backbone]
    network = Ranker(nn.Identity(), backbone.dim).to(job.device)
    brought = load_head(backbone, Path(job.weights.path) if job.weights.path else None)
    with torch.no_grad():
        weight, bias = (
            (brought["weight"], brought["bias"]) if brought else (torch.zeros(1, backbone.dim), torch.zeros(1))
        )
        network.head.weight.copy_(weight * torch.from_numpy(scale))
        network.head.bias.copy_(bias + weight @ torch.from_numpy(center).float())

    def scaled(rows: npt.NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(((features[rows] - center) / scale).astype(np.float32)).to(job.device)

    def scores_of(rows: npt.NDArray[np.int64]) -> Floats:
        scores = np.full(len(job.pairs.images), np.nan, np.float32)
        with torch.inference_mode():
            for block in _in_blocks(rows):
                scores[block] = network(scaled(block)).cpu().numpy()
        return scores

    train = job.pairs.splits["train"]
    targets = train.targets(job.settings.fit.targets)

    def batches(seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = np.random.default_rng(seed).permutation(len(train))
        for start in range(0, len(order), job.settings.fit.batch_size):
            rows = order[start : start + job.settings.fit.batch_size]
            inputs = scaled(np.concatenate([train.left[rows], train.right[rows]]))
            yield inputs, torch.from_numpy(targets[rows]).to(job.device)

    of_validation = job.pairs.splits["valid"].images
    curves = fit_ranker(
        network, batches, lambda: scores_of(of_validation), job.pairs.splits, job.settings.fit, job.checkpoint
    )
    reduction = _reduction(network, center, scale)
    scores = scores_of(np.arange(len(job.pairs.images)))
    return FittedRanker(job.settings, job.weights, reduction, None, curves, job.pairs, scores)


def _fit_whole(job: _Job) -> FittedRanker:
    backbone = BACKBONES[job.settings.backbone]
    weights = Path(job.weights.path) if job.weights.path else None
    network = start_ranker(backbone, weights, job.settings.fit.seed).to(job.device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        fit, files = job.settings.fit, job.examples.by_split["train"]
        for crops, targets in read_crops(files, backbone, fit.batch_size, seed, fit.targets, _n_threads()):
            yield to_input(crops, backbone, job.device, torch.float32), torch.from_numpy(targets).to(job.device)

    def scores_of(*splits: str) -> Floats:
        values = np.full((len(job.pairs.images), 1), np.nan, np.float32)
        forward = _forward(network, backbone, job.device)
        measure_images(
            [file for split in splits for file in job.examples.by_split[split]],
            job.pairs.images,
            lambda image: crop(image, backbone),
            forward,
            values,
            SCORED_TOGETHER,
            _n_threads(),
        )
        return values[:, 0]

    curves = fit_ranker(
        network, batches, lambda: scores_of("valid"), job.pairs.splits, job.settings.fit, job.checkpoint
    )
    trunk = {name: value.contiguous().cpu().numpy() for name, value in network.trunk.state_dict().items()}
    ones = np.ones(backbone.dim)
    reduction = _reduction(network, 0 * ones, ones)
    return FittedRanker(job.settings, job.weights, reduction, trunk, curves, job.pairs, scores_of(*job.pairs.splits))


def _forward(network: Ranker, backbone: Backbone, device: torch.device) -> Any:
    def forward(crops: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        with torch.inference_mode():
            scores: Floats = network(to_input(crops, backbone, device, torch.float32)).unsqueeze(1).cpu().numpy()
        return scores

    return forward


def _reduction(network: Ranker, center: npt.NDArray[Any], scale: npt.NDArray[Any]) -> Reduction:
    """The head as the one component of a bundle's visual reduction: what it gives is the score."""
    weight, bias = (p.detach().cpu().numpy().astype(np.float64) for p in (network.head.weight, network.head.bias))
    return Reduction(center, scale, weight, out_mean=-bias, out_scale=np.ones(1))
