"""The siamese ranker (Ding, Ma and Wang 2019, section 4): one network for both images, one score for each.

    P(l is more popular than r) = sigmoid(f(l) - f(r)),  f = head(trunk(image))

Both images go through as one batch, so that batch norm sees them alike. The head's bias cancels in every difference;
it is there since the released checkpoint has one, and moves the scores.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from popspark.networks.backbones import Backbone
from popspark.networks.weights import load_parameters, load_trunk


class Ranker(nn.Module):
    """trunk: images (B, 3, S, S) to features (B, dim); the identity where the features are given."""

    def __init__(self, trunk: nn.Module, dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(dim, 1)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="relu")  # He, as in both papers
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> scores (B,)."""
        scores: torch.Tensor = self.head(self.trunk(inputs).flatten(1)).squeeze(1)
        return scores


def pair_logits(scores: torch.Tensor) -> torch.Tensor:
    """Scores (2B,), the left images before the right ones, to the log odds (B,) that left beats right."""
    left, right = scores.chunk(2)
    return left - right


def load_head(backbone: Backbone, path: Path | None) -> dict[str, torch.Tensor] | None:
    """weight (1, dim) and bias (1,) of a checkpoint that was a ranker already, as IIPA's is; None for any other."""
    if path is None:
        return None
    state = load_parameters(backbone, path)
    head = {name: state.get(backbone.head + name) for name in ("weight", "bias")}
    if any(value is None for value in head.values()) or head["weight"].shape != (1, backbone.dim):  # type: ignore[union-attr]
        return None
    return {name: value.float() for name, value in head.items() if value is not None}


def start_ranker(backbone: Backbone, path: Path | None, seed: int) -> Ranker:
    """The ranker before training. path: of the trunk's weights, and of the head's where it has them; None: random."""
    torch.manual_seed(seed)
    ranker = Ranker(load_trunk(backbone, path), backbone.dim)
    head = load_head(backbone, path)
    if head:
        ranker.head.load_state_dict(head)
    return ranker
