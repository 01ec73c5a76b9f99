"""ResNet-50's global average pool as Ding, Ma and Wang (2019) trained and fed it: 2,048 values, each >= 0.

The network, its preprocessing and its weights: `popspark.networks.backbones` and `popspark.networks.weights`.
"""

from __future__ import annotations

from popspark.features.family import Calculate, Family


def load(weights: str | None, sha256: str, device: str, dtype: str, batch_size: int) -> Calculate:
    """weights: path of the file, None for random ones. dtype: float32, bfloat16 or float16, of the whole network."""
    from popspark.networks.inference import load_features

    return load_features("resnet50_iipa", weights, sha256, device, dtype, batch_size)


FAMILY = Family(name="resnet50_iipa", version="1", dim=2048, load=load, weights="resnet50_iipa")
