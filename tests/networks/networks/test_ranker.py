"""The siamese ranker: its formula, its start, and the released checkpoint's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from popspark.networks.backbones import BACKBONES, to_input
from popspark.networks.ranker import Ranker, load_head, pair_logits, start_ranker

RNG = np.random.default_rng(8)


def test_one_network_scores_both_images_and_the_sides_are_alike() -> None:
    torch.manual_seed(0)
    ranker = Ranker(nn.Flatten(), 12)
    left, right = torch.randn(2, 5, 3, 2, 2)
    scores = ranker(torch.cat([left, right]))
    assert scores.shape == (10,)
    expected = torch.sigmoid((left - right).flatten(1) @ ranker.head.weight[0])  # the bias cancels
    torch.testing.assert_close(torch.sigmoid(pair_logits(scores)), expected)
    torch.testing.assert_close(pair_logits(ranker(torch.cat([right, left]))), -pair_logits(scores))


def test_the_last_layer_starts_as_he_has_it() -> None:
    torch.manual_seed(0)
    head = Ranker(nn.Identity(), 20_000).head
    assert head.weight.std().item() == pytest.approx((2 / 20_000) ** 0.5, rel=0.02)
    assert head.bias.item() == 0


@pytest.fixture(scope="module")
def iipa(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A made-up checkpoint of the released one's layout: a plain state dict, fc = Linear(2048, 1)."""
    torch.manual_seed(4)
    network = models.resnet50()
    network.fc = nn.Linear(2048, 1)
    path = tmp_path_factory.mktemp("iipa") / "model-resnet50.pth"
    torch.save(network.state_dict(), path)
    return path, network.eval()


def test_the_iipa_checkpoint_scores_as_its_own_network_does(iipa: tuple[Path, nn.Module]) -> None:
    path, network = iipa
    backbone = BACKBONES["resnet50_iipa"]
    ranker = start_ranker(backbone, path, seed=0).eval()
    crops = list(RNG.integers(0, 256, (2, 224, 224, 3)).astype(np.uint8))
    inputs = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = network(inputs)[:, 0]
        found = ranker(to_input(crops, backbone, torch.device("cpu"), torch.float32))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_classifier_s_head_is_not_taken_for_a_ranker_s(iipa: tuple[Path, nn.Module], tmp_path: Path) -> None:
    torch.save(models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    assert load_head(BACKBONES["resnet18"], tmp_path / "resnet18.pth") is None
    assert load_head(BACKBONES["resnet18"], None) is None
    assert load_head(BACKBONES["resnet50_iipa"], iipa[0]) is not None
