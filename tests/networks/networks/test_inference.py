"""Batches that halve where memory runs out, and only then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from popspark.networks.backbones import BACKBONES
from popspark.networks.inference import BackboneFeatures, Image, few_shapes, in_batches

CROPS = [np.full((2, 2, 3), i, np.uint8) for i in range(11)]


def forward_up_to(limit: int, sizes: list[int]) -> Callable[[Sequence[Image]], np.ndarray]:
    """A forward pass that runs out of memory above `limit` images, and notes the sizes that it was asked for."""

    def forward(crops: Sequence[Image]) -> np.ndarray:
        sizes.append(len(crops))
        if len(crops) > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return np.array([[crop.max()] for crop in crops], np.float32)

    return forward


@pytest.mark.parametrize(
    ("limit", "batch_size", "asked"),
    [
        (99, 4, [4, 4, 3]),
        (99, 50, [11]),
        (2, 8, [8, 4, 2, 2, 2, 2, 2, 1]),
        (5, 9, [9, 5, 5, 1]),
        (1, 3, [3, 2, *[1] * 11]),
    ],
)
def test_every_image_once_in_order(limit: int, batch_size: int, asked: list[int]) -> None:
    sizes: list[int] = []
    values = in_batches(forward_up_to(limit, sizes), CROPS, batch_size)
    np.testing.assert_array_equal(values[:, 0], np.arange(11))
    assert sizes == asked


def test_halving_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "popspark.networks.inference"):
        in_batches(forward_up_to(2, []), CROPS, 8)
    assert [record.getMessage() for record in caplog.records] == [
        "out of GPU memory: the batch is now 4 images",
        "out of GPU memory: the batch is now 2 images",
    ]


def test_one_image_that_does_not_fit_ends_the_task() -> None:
    sizes: list[int] = []
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"^CUDA out of memory$"):
        in_batches(forward_up_to(0, sizes), CROPS, 4)
    assert sizes == [4, 2, 1]


def test_any_other_fault_passes_at_once() -> None:
    def forward(crops: Sequence[Image]) -> np.ndarray:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match=r"^CUDA error: device-side assert triggered$"):
        in_batches(forward, CROPS, 4)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16, 64])
def test_batches_on_a_cpu_have_few_shapes_and_cover_all_crops_in_order(batch_size: int) -> None:
    sizes = set()
    for n_crops in range(100):
        batches = few_shapes(n_crops, batch_size)
        assert [place for batch in batches for place in range(n_crops)[batch]] == list(range(n_crops))
        sizes |= {batch.stop - batch.start for batch in batches}
    assert sizes == {batch_size, max(1, batch_size // 4), 1}


def test_a_backbone_on_a_cpu_meets_these_shapes_only() -> None:
    features = BackboneFeatures(BACKBONES["resnet18"], None, "cpu", "float32", 4)
    shapes: list[int] = []
    features.trunk.register_forward_pre_hook(lambda _module, inputs: shapes.append(len(inputs[0])))
    images = [np.full((8, 8, 3), 20 * i, np.uint8) for i in range(7)]
    values = features(images)
    assert shapes == [4, 1, 1, 1]
    np.testing.assert_allclose(values, [features([image])[0] for image in images], rtol=1e-4, atol=1e-5)


def test_a_backbone_s_own_batch_bounds_the_one_asked_for_on_a_cpu() -> None:
    images = [np.full((8, 8, 3), 30 * i, np.uint8) for i in range(5)]
    for batch_size, expected in ((16, [4, 1]), (2, [2, 2, 1])):
        backbone = replace(BACKBONES["resnet18"], cpu_batch=4)
        features = BackboneFeatures(backbone, None, "cpu", "float32", batch_size)
        shapes: list[int] = []
        features.trunk.register_forward_pre_hook(lambda _module, inputs, seen=shapes: seen.append(len(inputs[0])))
        features(images)
        assert shapes == expected
