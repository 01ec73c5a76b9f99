"""VGG19's fc7 (VSCNN, section III-A 3): the 4,096 outputs of the second fully connected layer, after its ReLU.

The network, its preprocessing and its weights: `popspark.networks.backbones` and `popspark.networks.weights`.
"""

from __future__ import annotations

from popspark.features.family import Calculate, Family


def load(weights: str | None, sha256: str, device: str, dtype: str, batch_size: int) -> Calculate:
    """weights: path of the file, None for random ones. dtype: float32, bfloat16 or float16, of the whole network."""
    from popspark.networks.inference import load_features

    return load_features("vgg19", weights, sha256, device, dtype, batch_size)


FAMILY = Family(name="vgg19", version="1", dim=4096, load=load, weights="vgg19")
