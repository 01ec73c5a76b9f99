"""A backbone as a function from images to features, on one device, in batches that fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from popspark.networks.backbones import BACKBONES, Backbone, crop, to_input
from popspark.networks.weights import find_weights, load_trunk

LOG = logging.getLogger(__name__)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

Image = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]


def in_batches(forward: Callable[[Sequence[Image]], Features], crops: Sequence[Image], batch_size: int) -> Features:
    """`forward` over slices of at most `batch_size`; on out of memory the batch is halved, which is logged.

    Any other CUDA error passes: the context may be lost, so the task must fail and be retried in a new worker.
    """
    done: list[Features] = []
    start = 0
    while start < len(crops):
        try:
            done.append(forward(crops[start : start + batch_size]))
            start += batch_size
            continue
        except torch.cuda.OutOfMemoryError:
            if batch_size == 1:
                raise
        torch.cuda.empty_cache()  # not above, where the exception still holds what the failed pass had allocated
        batch_size = (batch_size + 1) // 2
        LOG.warning("out of GPU memory: the batch is now %d images", batch_size)
    return np.concatenate(done)


def few_shapes(n_crops: int, batch_size: int) -> list[slice]:
    """Batches that cover all crops, in order, of three sizes at most: `batch_size`, a quarter of it, and 1.

    oneDNN keeps kernels, packed weights and scratch space of every shape that it meets, so on a CPU a last batch of any
    size would make a worker's memory grow with the tables that it sees: by 400 MB for EfficientNet-Lite0 and 16 sizes.
    """
    slices, start = list[slice](), 0
    for size in (batch_size, max(1, batch_size // 4), 1):
        while n_crops - start >= size:
            slices.append(slice(start, start + size))
            start += size
    return slices


class BackboneFeatures:
    """Images, uint8 (H, W, 3), to features, float32 (B, dim); a `popspark.features.family.Batched`."""

    def __init__(self, backbone: Backbone, path: Path | None, device: str, dtype: str, batch_size: int) -> None:
        self.backbone, self.batch_size = backbone, batch_size
        self.device, self.dtype = torch.device(device), DTYPES[dtype]
        trunk = load_trunk(backbone, path).to(self.device, self.dtype)
        self.trunk = trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def prepare(self, image: Image) -> Image:
        return crop(image, self.backbone)

    def forward(self, prepared: Sequence[Image]) -> Features:
        if self.device.type == "cpu":
            batches = few_shapes(len(prepared), min(self.batch_size, self.backbone.cpu_batch or self.batch_size))
            return np.concatenate([self._forward_batch(prepared[batch]) for batch in batches])
        return in_batches(self._forward_batch, prepared, self.batch_size)

    def _forward_batch(self, crops: Sequence[Image]) -> Features:
        with torch.inference_mode():
            features = self.trunk(to_input(crops, self.backbone, self.device, self.dtype)).flatten(1)  # (B, dim)
            result: Features = features.float().cpu().numpy()
        return result

    def __call__(self, images: Sequence[Image]) -> Features:
        return self.forward([self.prepare(image) for image in images])


@lru_cache(maxsize=8)
def load_features(
    name: str, path: str | None, sha256: str, device: str, dtype: str, batch_size: int
) -> BackboneFeatures:
    """Kept per worker by weights, device and dtype; raises `WeightsError` where the file has another sha256.

    path: of the weights; None for random ones.
    """
    if path is not None:
        find_weights(name, path, sha256)
    return BackboneFeatures(BACKBONES[name], Path(path) if path else None, device, dtype, batch_size)
