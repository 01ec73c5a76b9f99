"""Settings of the study; the defaults are the paper's. Light to import: no torch, no scikit-learn, no matplotlib."""

from __future__ import annotations

from pydantic import PositiveInt

from popspark.runtime.config import Section
from popspark.training.settings import BaselineSettings, CnnFitSettings


class StudySettings(Section):
    """Settings of every fit of the study; initialisation and scaling it compares itself."""

    fit: CnnFitSettings = CnnFitSettings()
    """The fit of each CNN."""
    baselines: BaselineSettings = BaselineSettings()
    """The models that the CNNs are compared with."""
    n_resamples: PositiveInt = 1000
    """Resamples of the bootstrap that gives each measure its 95 % interval."""
    n_workers: PositiveInt | None = None
    """Fits at a time, one thread each; null: one a core."""
