"""A bundle as a function from features to scores: numpy and torch, no Spark."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from popspark.models.bundle import Bundle, Reduction

Floats = npt.NDArray[Any]


class Predictor:
    """Scores rows with a bundle. The families' projections add up, so each can be computed on its own."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        dims = [int(feature["dim"]) for feature in bundle.manifest["features"]]
        starts = [0, *accumulate(dims)]
        self._starts = dict(zip(bundle.feature_versions, starts, strict=False))
        self._n_visual = starts[-1]

    @cached_property
    def _network(self) -> Any:
        """Built when first asked for a score: workers that only project never load torch."""
        return _build_network(self.bundle) if self.bundle.network else None

    @property
    def _visual(self) -> Reduction:
        return self.bundle.reductions["fused" if "fused" in self.bundle.reductions else "visual"]

    @property
    def n_components(self) -> int:
        """k, of the visual projection."""
        return self._visual.dim

    @property
    def social_means(self) -> Floats:
        """The training means (34,) of the social values, of a bundle that needs them."""
        reductions = self.bundle.reductions
        return reductions["social"].center if "social" in reductions else reductions["fused"].center[self._n_visual :]

    def project(self, family: str, values: Floats) -> npt.NDArray[np.float64]:
        """One family's contribution to the visual projection: (N, dim) -> (N, k)."""
        return self._visual.project(values, self._starts[family])

    def score(self, projected: Floats, social: Floats) -> npt.NDArray[np.float64]:
        """Scores (N,) from the summed projections (N, k) and the social values: (N, 34), or (N, 0) if not needed."""
        inputs: dict[str, Floats] = {}
        for modality, reduction in self.bundle.reductions.items():
            if modality == "social":
                inputs[modality] = reduction(social)
            elif modality == "fused":
                inputs[modality] = reduction.finish(projected + reduction.project(social, self._n_visual))
            else:
                inputs[modality] = reduction.finish(projected)
        if self._network is None:
            return inputs["visual"][:, 0].astype(np.float64)
        import torch

        scores = self._network({name: torch.from_numpy(values) for name, values in inputs.items()})
        return scores.numpy().astype(np.float64)


def _build_network(bundle: Bundle) -> Any:
    import torch

    from popspark.networks.vscnn import FoldedCNN, PopularityCNN

    towers = {name: tuple(shape) for name, shape in bundle.manifest["network"]["towers"].items()}
    network = PopularityCNN(towers)
    network.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in bundle.network.items()})
    return FoldedCNN(network.float())
