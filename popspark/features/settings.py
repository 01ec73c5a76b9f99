"""Settings of feature extraction. Nothing heavy is imported here: the command line reads them for its help."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from popspark.features.registry import FamilyName
from popspark.networks.devices import Device
from popspark.runtime.config import Section

BATCH_SIZE = 16
"""Images per forward pass, unless a setting says otherwise."""


class FeatureSettings(Section):
    """Which families, and how the deep ones run."""

    families: tuple[FamilyName, ...] = ("color", "lbp", "gist", "aesthetic", "efficientnet_lite0")
    """Families, each once. By default those whose weights come with the installation."""
    device: Device = "auto"
    """Where the deep networks run: `cuda`, `cpu`, or `auto`, a GPU where the task has one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers of the deep networks; part of a feature's version."""
    batch_size: int = Field(default=BATCH_SIZE, gt=0)
    """Images per forward pass at most; a backbone may take fewer on a CPU."""
    weights: dict[str, str] = {}
    """By family: `imagenet` (where none is named), the path of a .pth or .safetensors file, or `random`."""
    weights_sha256: dict[str, str] = {}
    """By family: what the file of its weights must have, in hexadecimal; checked where given."""
