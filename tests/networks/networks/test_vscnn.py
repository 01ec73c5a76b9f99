"""The networks against Table III, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from popspark.models.tensors import network_shapes
from popspark.networks.vscnn import SCORE_ROWS, TOWERS, FoldedCNN, PopularityCNN, initialise, merged_size

N_ROWS = 8
MERGED = {"vscnn": 4736, "vcnn": 2560, "scnn": 2176, "vscnn_ef": 2560}

# Weights and biases of the convolutions, and two parameters per channel of batch norm.
KERNEL_3 = (1 * 32 * 3 + 32) + (32 * 64 * 3 + 64) + (64 * 128 * 3 + 128) + 2 * (32 + 64 + 128)
KERNEL_2 = (1 * 32 * 2 + 32) + (32 * 64 * 2 + 64) + (64 * 128 * 2 + 128) + 2 * (32 + 64 + 128)
BEHIND_FIRST = 1024 + (1024 * 500 + 500) + (500 + 1)
N_PARAMETERS = {
    "vscnn": KERNEL_3 + KERNEL_2 + 4736 * 1024 + BEHIND_FIRST,
    "vcnn": KERNEL_3 + 2560 * 1024 + BEHIND_FIRST,
    "scnn": KERNEL_2 + 2176 * 1024 + BEHIND_FIRST,
    "vscnn_ef": KERNEL_3 + 2560 * 1024 + BEHIND_FIRST,
}


def inputs(architecture: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(N_ROWS, length, generator=generator) for name, (length, _) in TOWERS[architecture].items()
    }


def shapes(network: nn.Module, kinds: tuple[type[nn.Module], ...], values: dict[str, torch.Tensor]) -> list[tuple]:
    """Of the outputs of all layers of these kinds, in the order in which they compute."""
    seen: list[tuple] = []
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape[1:])))
    network(values)
    return seen


@pytest.mark.parametrize("architecture", TOWERS)
def test_shapes_are_table_iii_s(architecture: str) -> None:
    towers = {
        "visual": [(32, 20), (64, 20), (128, 20)],
        "social": [(32, 15), (64, 16), (128, 17)],
        "fused": [(32, 20), (64, 20), (128, 20)],
    }
    found = shapes(PopularityCNN(TOWERS[architecture]), (nn.Conv1d, nn.Linear), inputs(architecture))
    expected = [shape for name in TOWERS[architecture] for shape in towers[name]]
    assert found == [*expected, (1024,), (500,), (1,)]


@pytest.mark.parametrize("architecture", TOWERS)
def test_sizes(architecture: str) -> None:
    network = PopularityCNN(TOWERS[architecture])
    assert merged_size(TOWERS[architecture]) == MERGED[architecture]
    assert sum(p.numel() for p in network.parameters()) == N_PARAMETERS[architecture]
    assert network(inputs(architecture)).shape == (N_ROWS,)


def test_early_fusion_is_of_the_same_order_of_parameters() -> None:
    assert 0.5 < N_PARAMETERS["vscnn_ef"] / N_PARAMETERS["vscnn"] < 2


def test_dropout_is_a_tenth_and_a_fifth_at_the_last() -> None:
    rates = [module.p for module in PopularityCNN(TOWERS["vscnn"]).modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.1] * 7 + [0.2]


def test_each_modality_counts_and_rows_do_not_mix() -> None:
    torch.manual_seed(2)
    network, values = PopularityCNN(TOWERS["vscnn"]).eval(), inputs("vscnn")
    with torch.inference_mode():
        scores = network(values)
        for name in values:
            changed = {**values, name: values[name].clone()}
            changed[name][3] += 1
            differs = network(changed) != scores
            assert differs.tolist() == [row == 3 for row in range(N_ROWS)]
    torch.testing.assert_close(network({n: v[2:3] for n, v in values.items()}), scores[2:3], rtol=1e-5, atol=1e-5)


def test_the_paper_s_initialisation_fills_minus_one_to_one() -> None:
    network = PopularityCNN(TOWERS["vscnn"])
    initialise(network, "paper")
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            for parameter in (layer.weight, layer.bias):
                assert parameter.abs().max() <= 1
                if parameter.numel() >= 1000:
                    assert parameter.min() < -0.98
                    assert parameter.max() > 0.98
                    assert parameter.var().item() == pytest.approx(1 / 3, rel=0.1)
        elif isinstance(layer, nn.BatchNorm1d):
            assert torch.equal(layer.weight, torch.ones_like(layer.weight))
            assert not layer.bias.any()


def test_the_standard_initialisation_is_torch_s_with_the_last_bias_at_the_labels_mean() -> None:
    network = PopularityCNN(TOWERS["vcnn"])
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    initialise(network, "standard", mean_label=6.5)
    after = dict(network.named_parameters())
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["fusion.6.bias"]
    assert after["fusion.6.bias"].tolist() == [6.5]


@pytest.mark.parametrize("architecture", ["vscnn", "scnn"])
def test_it_can_learn_one_batch_by_heart(architecture: str) -> None:
    torch.manual_seed(4)
    network, values = PopularityCNN(TOWERS[architecture]), inputs(architecture)
    label = torch.linspace(1, 10, N_ROWS)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(25):
        loss = nn.functional.mse_loss(network(values), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * label.var().item()


@pytest.mark.parametrize("architecture", TOWERS)
@pytest.mark.parametrize("n_rows", [1, SCORE_ROWS + 3])
def test_the_folded_network_scores_as_the_fitted_one(architecture: str, n_rows: int) -> None:
    torch.manual_seed(2)
    network = PopularityCNN(TOWERS[architecture])
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    values = {name: torch.randn(n_rows, length) for name, (length, _) in TOWERS[architecture].items()}
    folded = FoldedCNN(network)
    expected = network.eval()(values)
    assert folded(values).shape == (n_rows,)
    torch.testing.assert_close(folded(values), expected, atol=1e-5, rtol=1e-5)
    assert n_rows == 1 or expected.std() > 1e-3


@pytest.mark.parametrize("towers", [*TOWERS.values(), {"visual": (7, 1), "social": (34, 5)}])
def test_a_bundle_knows_the_parameters_without_torch(towers: dict[str, tuple[int, int]]) -> None:
    state = PopularityCNN(towers).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == network_shapes(towers)
