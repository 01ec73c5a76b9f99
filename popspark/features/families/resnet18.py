"""ResNet-18's global average pool: 512 values, each >= 0. For rankers on machines without a GPU.

The network, its preprocessing and its weights: `popspark.networks.backbones` and `popspark.networks.weights`.
"""

from __future__ import annotations

from popspark.features.family import Calculate, Family


def load(weights: str | None, sha256: str, device: str, dtype: str, batch_size: int) -> Calculate:
    """weights: path of the file, None for random ones. dtype: float32, bfloat16 or float16, of the whole network."""
    from popspark.networks.inference import load_features

    return load_features("resnet18", weights, sha256, device, dtype, batch_size)


FAMILY = Family(name="resnet18", version="1", dim=512, load=load, weights="resnet18")
