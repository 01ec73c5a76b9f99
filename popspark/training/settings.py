"""Settings of the CNN and of the baselines that it is compared with; the defaults are the VSCNN paper's where it
states them. Light to import: no torch, no scikit-learn.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from popspark.networks.devices import Device
from popspark.runtime.config import Section

Architecture = Literal["vscnn", "vcnn", "scnn", "vscnn_ef"]
Initialisation = Literal["standard", "paper"]


class FitSettings(Section):
    """Settings that the fitting loop reads; each model's fit adds its own."""

    n_epochs: PositiveInt = 50
    """Passes over the training split, at most."""
    patience: PositiveInt | None = None
    """Epochs without a better validation after which the fit ends; null: never."""
    seed: int = 0
    """Seed of the order of the rows, of dropout and of random starts."""


class CnnFitSettings(FitSettings):
    """Adam with a rate that falls by steps (VSCNN, section V-B)."""

    batch_size: PositiveInt = 20
    """Rows a step."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's rate at the start."""
    lr_step_epochs: PositiveInt = 10
    """Epochs between two falls of the rate."""
    lr_factor: PositiveFloat = 0.1
    """Factor on the rate after every lr_step_epochs."""
    device: Device = "auto"
    """Device of the fit; auto: the GPU where there is one."""


class CnnSettings(Section):
    """The network, its start and the values that it reads."""

    architecture: Architecture = "vscnn"
    """Towers: visual and social (vscnn), one of the two (vcnn, scnn), or one on both, fused early (vscnn_ef)."""
    initialisation: Initialisation = "standard"
    """standard: torch's own, the last bias at the training labels' mean; paper: everything uniform in [-1, 1]."""
    scale_first: bool = True
    """Whether each value is standardised before the PCA."""
    fit: CnnFitSettings = CnnFitSettings()
    """The fit of the network."""


class BaselineSettings(Section):
    """Settings of the models that VSCNN is compared with: see `popspark.training.baselines`."""

    svr_max_rows: PositiveInt = 20_000
    """Training rows up to which the SVR is fitted as published; above, a linear one on Nystroem features."""
    nystroem_features: PositiveInt = 1_000
    """Features that approximate the RBF kernel, where the SVR is not fitted as published."""
    gbdt_trees: PositiveInt = 2_000
    """Trees of the gradient boosting."""
    gbdt_max_rows: PositiveInt = 20_000
    """Training rows up to which trees split exactly; above, on 256 bins of each value."""
