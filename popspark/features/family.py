"""The contract that each feature family fulfils: a file of `popspark.features.families`, a line of the registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

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

    name: as in the registry.
    version: of the calculation; changes whenever the code moves a value (a resize, a constant, a library's method).
    dim: number of values per image.
    load: `load(**params)` prepares the family once per Python worker and returns its `calculate`.
    weights: for a family that reads pretrained weights, what `popspark.networks.weights` knows them by; its sha256 and
        the dtype then become part of the version (see `popspark.features.plan.plan_features`).
    labels: the names of the values, where they have names.
    """

    name: str
    version: str
    dim: int
    load: Callable[..., Calculate]
    weights: str | None = None
    labels: tuple[str, ...] = field(default=())
