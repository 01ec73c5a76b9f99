"""Feature families: the contract that each one fulfils, and the registry that finds them.

A family is a file of this package that defines `FAMILY`. Nothing is imported until it is asked for, so a driver
that only runs SQL loads neither torch nor OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from popspark.runtime.errors import unknown

Image = npt.NDArray[np.uint8]
"""One decoded image: uint8, shape (H, W, 3), RGB."""

Calculate = Callable[[Sequence[Image]], npt.NDArray[np.float32]]
"""B images to their features: float32, shape (B, dim). Never changes its input; raises on what it cannot do."""


@runtime_checkable
class Batched(Protocol):
    """A `Calculate` that works best in two steps, as the deep families do.

    `calculate(images) == calculate.forward([calculate.prepare(image) for image in images])`; preparing happens image
    by image ahead of the model, on another thread, and what it returns is small whatever the image's size.
    """

    def prepare(self, image: Image) -> Image: ...

    def forward(self, prepared: Sequence[Image]) -> npt.NDArray[np.float32]: ...

    def __call__(self, images: Sequence[Image]) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True)
class Family:
    """One family of features.

    name: as in the registry, equal to its file's name.
    version: of the calculation; changes whenever the code moves a value (a resize, a constant, a library's method).
    dim: number of values per image.
    load: `load(**params)` prepares the family once per Python worker and returns its `calculate`.
    weights: for a family that reads pretrained weights, what `popspark.networks.weights` knows them by; its sha256 and
        the dtype then become part of the version (see `popspark.features.extractor.plan_features`).
    labels: the names of the values, where they have names.
    """

    name: str
    version: str
    dim: int
    load: Callable[..., Calculate]
    weights: str | None = None
    labels: tuple[str, ...] = field(default=())


REGISTRY: Mapping[str, str] = {
    "color": "popspark.features.families.color",
    "lbp": "popspark.features.families.lbp",
    "gist": "popspark.features.families.gist",
    "aesthetic": "popspark.features.families.aesthetic",
    "vgg19": "popspark.features.families.vgg19",
    "resnet50": "popspark.features.families.resnet50",
    "resnet50_iipa": "popspark.features.families.resnet50_iipa",
    "resnet18": "popspark.features.families.resnet18",
    "efficientnet_lite0": "popspark.features.families.efficientnet_lite0",
}


def get_family(name: str) -> Family:
    """The family of that name; raises `ConfigError` listing the known ones for any other."""
    if name not in REGISTRY:
        raise unknown("feature family", name, REGISTRY)
    module: Any = import_module(REGISTRY[name])
    family: Family = module.FAMILY
    return family
