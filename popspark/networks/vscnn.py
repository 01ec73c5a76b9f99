"""VSCNN and its kin (Abousaleh et al., sections IV-A to IV-C, Table III, figures 2 to 4).

Each modality, reduced to a short vector, goes through a tower of three 1-D convolutions; the towers' outputs are
flattened and merged, and two fully connected layers lead to one value.

    visual (B, 20) -> (B, 1, 20) -> conv 3: (B, 32, 20) -> (B, 64, 20) -> (B, 128, 20)
    social (B, 14) -> (B, 1, 14) -> conv 2: (B, 32, 15) -> (B, 64, 16) -> (B, 128, 17)
    merged (B, 128 * 20 + 128 * 17 = 4736) -> 1024 -> 500 -> 1

Every convolution has stride 1 and padding 1, the only padding with which Table III's merged layer comes out. Where
the paper leaves the order open it is convolution, batch norm, ReLU, dropout. Dropout is 0.1 after every layer and
0.2 after the last fully connected one; the final node sums its 500 inputs with weights and has no activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CHANNELS = (32, 64, 128)
PADDING = 1
HIDDEN = (1024, 500)
DROPOUT, LAST_DROPOUT = 0.1, 0.2
SCORE_ROWS = 1024
"""At once while scoring: the widest layer of that many takes 10 MB."""

TOWERS: dict[str, dict[str, tuple[int, int]]] = {
    "vscnn": {"visual": (20, 3), "social": (14, 2)},
    "vcnn": {"visual": (20, 3)},
    "scnn": {"social": (14, 2)},
    "vscnn_ef": {"fused": (20, 3)},  # early fusion: one PCA over all 4,744 values
}
"""Towers by architecture: each one's input length and kernel."""


def _tower(kernel: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((1, *CHANNELS[:-1]), CHANNELS, strict=True):
        convolution = nn.Conv1d(before, after, kernel, stride=1, padding=PADDING)
        layers += [convolution, nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers, nn.Flatten())


def merged_size(towers: Mapping[str, tuple[int, int]]) -> int:
    """The length of the merged layer: 4,736 for vscnn, 2,560 for vcnn, 2,176 for scnn."""
    return sum(CHANNELS[-1] * (length + len(CHANNELS) * (3 - kernel)) for length, kernel in towers.values())


class PopularityCNN(nn.Module):
    """One tower per modality, merged late.

    towers: by modality, the input's length and the kernel; an entry of `TOWERS`, or other lengths.
    """

    def __init__(self, towers: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.shapes = dict(towers)
        self.towers = nn.ModuleDict({name: _tower(kernel) for name, (_, kernel) in towers.items()})
        self.fusion = nn.Sequential(
            nn.Linear(merged_size(towers), HIDDEN[0]),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(*HIDDEN),
            nn.ReLU(),
            nn.Dropout(LAST_DROPOUT),
            nn.Linear(HIDDEN[1], 1),
        )

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """By modality (B, length) -> predicted popularity (B,)."""
        merged = torch.cat([tower(inputs[name].unsqueeze(1)) for name, tower in self.towers.items()], dim=1)
        scores: torch.Tensor = self.fusion(merged).squeeze(1)
        return scores


class FoldedCNN:
    """A fitted `PopularityCNN` for scoring alone: the same sums with fewer passes over memory.

    Batch norms are within their convolutions, dropouts left out, and the towers' outputs not merged: the first fully
    connected layer takes each as it lies, channels last, and adds up.
    """

    def __init__(self, network: PopularityCNN) -> None:
        network.eval().requires_grad_(False)
        first, *self._behind = (layer for layer in network.fusion if isinstance(layer, nn.Linear))
        self._bias: torch.Tensor = first.bias
        self._towers: dict[str, tuple[list[nn.Module], torch.Tensor]] = {}
        weights = first.weight.split([merged_size({name: shape}) for name, shape in network.shapes.items()], dim=1)
        for (name, tower), weight in zip(network.towers.items(), weights, strict=True):
            layers: list[nn.Module] = []
            for convolution, norm in pairwise(tower.children()):
                if isinstance(convolution, nn.Conv1d) and isinstance(norm, nn.BatchNorm1d):
                    layers.append(_fold(convolution, norm))
            channels_last = weight.unflatten(1, (CHANNELS[-1], -1)).transpose(1, 2).flatten(1)
            self._towers[name] = layers, channels_last.T.contiguous()

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """As `PopularityCNN.forward`."""
        blocks = (values.split(SCORE_ROWS) for values in inputs.values())
        with torch.inference_mode():
            scores = [self._score(dict(zip(inputs, block, strict=True))) for block in zip(*blocks, strict=True)]
            return torch.cat(scores)

    def _score(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        hidden = self._bias
        for name, (layers, weight) in self._towers.items():
            values = inputs[name][:, None, None].to(memory_format=torch.channels_last)  # (B, 1, 1, length)
            for layer in layers:
                values = layer(values).relu_()
            hidden = torch.addmm(hidden, values.permute(0, 2, 3, 1).flatten(1), weight)
        for layer in self._behind:
            hidden = layer(hidden.relu_())
        return hidden.squeeze(1)


def _fold(convolution: nn.Conv1d, norm: nn.BatchNorm1d) -> nn.Module:
    """Both as one convolution along the width of an image of height 1, for which channels may lie last."""
    folded = fuse_conv_bn_eval(convolution, norm)
    flat = nn.Conv2d(folded.in_channels, folded.out_channels, (1, folded.kernel_size[0]), padding=(0, PADDING))
    flat.weight, flat.bias = nn.Parameter(folded.weight.unsqueeze(2), requires_grad=False), folded.bias
    channels_last: nn.Module = flat.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return channels_last


def initialise(network: PopularityCNN, how: str, mean_label: float = 0.0) -> None:
    """`paper`: every weight and bias of a layer uniform in [-1, 1] (section IV-B).

    `standard`: torch's own, as built, but the final bias, which starts at the mean of the training labels: Adam moves
    it by about the learning rate a step, so a short fit would spend its steps on getting there.
    Batch norm keeps its identity start in both.
    """
    if how == "paper":
        for layer in network.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                for parameter in layer.parameters():
                    nn.init.uniform_(parameter, -1.0, 1.0)
    else:
        nn.init.constant_(network.fusion[-1].get_parameter("bias"), mean_label)
