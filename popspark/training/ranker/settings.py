"""Settings of the ranker; the defaults are its papers' where they state them. Light to import: no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from popspark.networks.devices import Device
from popspark.runtime.config import Section
from popspark.training.settings import FitSettings

Targets = Literal["hard", "probability"]


class RankerFitSettings(FitSettings):
    """Adam with rates that fall every epoch, one for the trunk and one for the head (Ding, Ma and Wang 2019)."""

    n_epochs: NonNegativeInt = 20
    """Passes over the training pairs, at most; 0 leaves the network as it started."""
    batch_size: PositiveInt = 64
    """Pairs a step."""
    trunk_learning_rate: PositiveFloat = 1e-5
    """Rate of the trunk's parameters at the start, where they are fitted."""
    head_learning_rate: PositiveFloat = 1e-4
    """Rate of the head's parameters at the start."""
    lr_factor: PositiveFloat = 0.95
    """Factor on both rates after every epoch."""
    weight_decay: NonNegativeFloat = 1e-4
    """L2 penalty of Adam."""
    targets: Targets = "hard"
    """hard: which of the two posts was more popular; probability: how sure the pair rules are of it."""


class RankerSettings(Section):
    """The backbone, where it starts, and how much of it is fitted."""

    backbone: Literal["resnet50", "resnet50_iipa", "resnet18", "efficientnet_lite0"] = "resnet50"
    """The network under the head."""
    weights: str = "imagenet"
    """Start of the backbone: imagenet, random, or the path of a .pth or .safetensors file."""
    weights_sha256: str | None = None
    """SHA-256 of the file of weights, in hexadecimal; checked where given."""
    is_frozen: bool = False
    """Whether only the head is fitted, for which a CPU is enough. Fitting the trunk too needs a GPU."""
    device: Device = "auto"
    """Device of the fit; auto: the GPU where there is one."""
    fit: RankerFitSettings = RankerFitSettings()
    """The fit of the network."""
