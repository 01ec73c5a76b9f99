"""The pretrained backbones: their networks, the facts about their weights, and images to input tensors.

Preprocessing belongs to the weights, not to the network: size, crop, mean and standard deviation travel with each.

| name | network | features | input |
|---|---|---|---|
| vgg19 | Simonyan and Zisserman 2015 | fc7: the second 4,096 layer after its ReLU | ImageNet mean and std |
| resnet50, resnet18 | He et al. 2016 | global average pool | ImageNet mean and std |
| resnet50_iipa | as Ding, Ma and Wang 2019 trained it | global average pool | [0, 1], stretched to a square |
| efficientnet_lite0 | Tan and Le 2019, Lite variant | global average pool | (x - 127) / 128 |

The VSCNN paper used Keras's port of VGG19 (BGR, means only). torchvision's weights are other numbers and want RGB
with ImageNet's mean and std; they are what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn
from torchvision import models

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

MAX_ASPECT = 8


def _vgg19_trunk(network: models.VGG) -> nn.Module:
    network.classifier = nn.Sequential(*list(network.classifier.children())[:5])  # Linear, ReLU, Dropout, Linear, ReLU
    return network


def _resnet_trunk(network: nn.Module) -> nn.Module:
    network.fc = nn.Identity()
    return network


def _efficientnet_lite0() -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0")


def _efficientnet_trunk(network: nn.Module) -> nn.Module:
    network._dropout, network._fc = nn.Identity(), nn.Identity()
    return network


@dataclass(frozen=True)
class Backbone:
    """A network with the facts about its weights.

    dim: values per image. network: the whole classifier, as its weights name the parameters; randomly initialised.

    trunk: cuts it after the features; head: how the names of the parameters that this loses begin. short_side_px,
    crop_px, resample, mean, std: what its weights were trained on, mean and std on the scale 0..255. is_stretched: the
    whole image becomes the square, nothing is cut off. cpu_batch: images per pass on a CPU at most; set
    where it was measured to be faster than the usual 16, and to take less memory.
    """

    name: str
    dim: int
    network: Callable[[], nn.Module]
    trunk: Callable[[Any], nn.Module]
    head: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resample: Image.Resampling = Image.Resampling.BILINEAR
    short_side_px: int = 256
    crop_px: int = 224
    is_stretched: bool = False
    cpu_batch: int | None = None


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone("vgg19", 4096, models.vgg19, _vgg19_trunk, "classifier.6."),
        Backbone("resnet50", 2048, models.resnet50, _resnet_trunk, "fc."),
        Backbone("resnet18", 512, models.resnet18, _resnet_trunk, "fc."),
        Backbone(
            "resnet50_iipa",
            2048,
            models.resnet50,
            _resnet_trunk,
            "fc.",
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
            is_stretched=True,
        ),
        Backbone(
            "efficientnet_lite0",
            1280,
            _efficientnet_lite0,
            _efficientnet_trunk,
            "_fc.",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            resample=Image.Resampling.BICUBIC,
            cpu_batch=2,
        ),
    )
}


def _resized(image: npt.NDArray[np.uint8], backbone: Backbone) -> Image.Image:
    """The image with its short side at `short_side_px`; one longer than `MAX_ASPECT` first loses its ends."""
    height, width = (min(side, MAX_ASPECT * min(image.shape[:2])) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    cut = Image.fromarray(image[top : top + height, left : left + width])
    short = backbone.short_side_px
    size = (short, short * height // width) if width <= height else (short * width // height, short)
    return cut.resize(size, backbone.resample)


def crop(image: npt.NDArray[np.uint8], backbone: Backbone) -> npt.NDArray[np.uint8]:
    """Short side to `short_side_px`, then the central square: uint8 (H, W, 3) -> (crop_px, crop_px, 3).

    The same pixels as torchvision's Resize and CenterCrop on a PIL image (antialiased, sizes truncated). An image
    longer than `MAX_ASPECT` first loses its ends, which the crop does not show, so that 1 x 10000 stays small.
    """
    side = backbone.crop_px
    if backbone.is_stretched:
        return np.asarray(Image.fromarray(image).resize((side, side), backbone.resample))
    resized = _resized(image, backbone)
    left, top = (round((length - side) / 2) for length in resized.size)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def crop_at(image: npt.NDArray[np.uint8], backbone: Backbone, corner: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """A crop for training: as `crop`, but the square lies at `corner`, (0, 0) top left to (1, 1) bottom right.

    Never stretched: Ding et al. trained on crops of the image as it is.
    """
    side, resized = backbone.crop_px, _resized(image, backbone)
    left, top = (round(share * (length - side)) for share, length in zip(corner, resized.size, strict=True))
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def to_input(
    crops: Sequence[npt.NDArray[np.uint8]], backbone: Backbone, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """B crops, uint8 (S, S, 3), to the network's input (B, 3, S, S), channels last, normalised on the device."""
    stacked = torch.from_numpy(np.stack(crops))  # (B, S, S, 3)
    if device.type == "cuda":
        stacked = stacked.pin_memory()
    pixels = stacked.to(device, non_blocking=True).permute(0, 3, 1, 2).float()  # a view in channels_last
    mean = torch.tensor(backbone.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(backbone.std, device=device).view(1, 3, 1, 1)
    return ((pixels - mean) / std).to(dtype)
