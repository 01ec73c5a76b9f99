"""A backbone as a function from images to features, on one device, in batches that fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from popspark.networks.backbones import BACKBONES, crop, to_input
from popspark.networks.weights import load_trunk

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
        except torch.cuda.OutOfMemoryError:
            if batch_size == 1:
                raise
            torch.cuda.empty_cache()
            batch_size = (batch_size + 1) // 2
            LOG.warning("out of GPU memory: the batch is now %d images", batch_size)
    return np.concatenate(done)


@lru_cache(maxsize=4)
def load_features(
    name: str, path: str | None, sha256: str, device: str, dtype: str, batch_size: int
) -> Callable[[Sequence[Image]], Features]:
    """Images, uint8 (H, W, 3), to features, float32 (B, dim). Kept per worker by weights, device and dtype.

    path: of the weights; None for random ones. sha256: of that file, part of what the model is kept by.
    """
    backbone, where, kind = BACKBONES[name], torch.device(device), DTYPES[dtype]
    trunk = load_trunk(backbone, Path(path) if path else None)
    trunk = trunk.to(where, kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(crops: Sequence[Image]) -> Features:
        with torch.inference_mode():
            features = trunk(to_input(crops, backbone, where, kind)).flatten(1)  # (B, dim)
            result: Features = features.float().cpu().numpy()
        return result

    def calculate(images: Sequence[Image]) -> Features:
        return in_batches(forward, [crop(image, backbone) for image in images], batch_size)

    return calculate
