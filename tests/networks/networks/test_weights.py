"""Where weights come from, and every way in which a file of weights is refused."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from popspark.networks import weights
from popspark.networks.backbones import BACKBONES
from popspark.networks.ranker import load_head
from popspark.networks.weights import PretrainedWeights, file_sha256, find_weights, git_blob, load_trunk
from popspark.runtime.errors import UnfitWeightsError, WeightsError

RESNET18 = BACKBONES["resnet18"]
FITS = "\n  legal: a .pth or .safetensors file with a state dict, tensors by the network's own names"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return models.resnet18().state_dict()


def test_a_missing_file() -> None:
    with pytest.raises(WeightsError) as raised:
        find_weights("resnet18", "/nowhere/mine.pth")
    assert str(raised.value) == (
        "The weights of resnet18 are missing.\n"
        "  where: /nowhere/mine.pth\n"
        "  legal: imagenet, random, or the path of a .pth or .safetensors file"
    )


def test_the_sha256_is_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "mine.pth").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    path = str(tmp_path / "mine.pth")
    found = PretrainedWeights(path, expected, path)
    assert find_weights("resnet18", path) == find_weights("resnet18", path, expected) == found
    with pytest.raises(WeightsError) as raised:
        find_weights("resnet18", path, "0" * 64)
    assert str(raised.value) == (
        "The weights of resnet18 are not the file that was asked for.\n"
        f"  where: {path}\n"
        f"  got: sha256 {expected}\n"
        f"  legal: sha256 {'0' * 64}\n"
        "  fix: get the right file, or correct the sha256 in the configuration"
    )


def test_efficientnet_s_weights_come_with_their_package() -> None:
    found = find_weights("efficientnet_lite0")
    assert found.source == "imagenet"
    assert found.path is not None
    assert file_sha256(Path(found.path)) == found.sha256
    assert found.sha256.startswith("579344248a93")


def test_random_is_named_and_the_same_everywhere() -> None:
    assert find_weights("resnet18", "random") == PretrainedWeights("random", "random", None)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    one, other = load_trunk(RESNET18, None), load_trunk(RESNET18, None)
    assert torch.equal(torch.random.get_rng_state(), before)
    for parameter, same in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(parameter, same)
    assert not one.training


@pytest.mark.parametrize("name", ["mine.pth", "old.pth", "mine.safetensors"])
def test_every_format_loads_the_same(state: dict[str, torch.Tensor], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name != "old.pth")
    trunk = load_trunk(RESNET18, path)
    assert torch.equal(trunk.conv1.weight, state["conv1.weight"])
    assert torch.equal(trunk.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"])
    assert not trunk.training


def test_a_file_of_the_trunk_alone_and_one_of_another_head(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    trunk = {name: value for name, value in state.items() if not name.startswith("fc.")}
    save_file(trunk, tmp_path / "trunk.safetensors")
    save_file({**trunk, "fc.weight": torch.ones(1, 512), "fc.bias": torch.ones(1)}, tmp_path / "one.safetensors")
    for name in ("trunk", "one"):
        loaded = load_trunk(RESNET18, tmp_path / f"{name}.safetensors").state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in trunk.items())
    del trunk["conv1.weight"]
    save_file(trunk, tmp_path / "less.safetensors")
    assert "\n  got: it lacks conv1.weight; it has " in refused(tmp_path / "less.safetensors")


def test_the_iipa_checkpoint_is_told_by_its_git_blob_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model-resnet50.pth"
    path.write_bytes(b"what is up, doc?")
    blob = "bd9dbf5aae1a3862dd1526723246b20206e5fc37"  # the example of the Pro Git book, section 10.2
    assert git_blob(path) == blob
    sha256 = file_sha256(path)
    with pytest.raises(WeightsError) as raised:
        find_weights("resnet50_iipa", str(path))
    assert str(raised.value) == (
        "This is not the IIPA checkpoint as it was released.\n"
        f"  where: {path}\n"
        f"  got: git blob {blob}\n"
        "  legal: git blob 03ed5781342bfbf47fe26009373b92fd6c7fdaf7\n"
        f"  fix: get the right file, or state that this one is meant by its sha256, {sha256}"
    )
    assert find_weights("resnet50_iipa", str(path), sha256).sha256 == sha256
    monkeypatch.setattr(weights, "IIPA_BLOB", blob)
    assert find_weights("resnet50_iipa", str(path)).sha256 == sha256
    with pytest.raises(WeightsError, match=r"^resnet50_iipa has no ImageNet weights"):
        find_weights("resnet50_iipa")


def refused(path: Path) -> str:
    with pytest.raises(UnfitWeightsError) as raised:
        load_trunk(RESNET18, path)
    assert raised.value.exit_code == 65
    return str(raised.value)


def test_weights_of_another_network(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(2)}, tmp_path / "vgg.safetensors")
    assert refused(tmp_path / "vgg.safetensors") == (
        "These weights do not fit resnet18.\n"
        f"  where: {tmp_path}/vgg.safetensors\n"
        f"  got: it lacks conv1.weight, bn1.weight, bn1.bias and 97 more; it has features.0.weight{FITS}"
    )


class Intruder:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, how: str) -> None:
    path, trace = tmp_path / "mine.pth", tmp_path / "trace"
    if how == "torch":
        torch.save({"conv1.weight": Intruder(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"conv1.weight": Intruder(trace)}, protocol=2))
    message = refused(path)
    assert message.startswith(
        f"These weights do not fit resnet18.\n  where: {path}\n  got: UnpicklingError: Weights only"
    )
    assert message.endswith(FITS)
    assert not trace.exists()
    if how == "pickle":
        pickle.loads(path.read_bytes())
        assert trace.exists(), "the pickle was harmless"


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        ("mine.safetensors", b"nothing", "SafetensorError: "),
        ("empty.safetensors", b"", "SafetensorError: "),
        ("mine.pth", b"", "EOFError: "),
        ("cut.pth", b"PK\x03\x04 cut", ""),
        ("text.pth", b"<html>404</html>", "UnpicklingError: "),
    ],
)
def test_a_broken_file(tmp_path: Path, name: str, content: bytes, got: str) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert message.startswith(f"These weights do not fit resnet18.\n  where: {tmp_path}/{name}\n  got: {got}")
    assert message.endswith(FITS)


def test_a_file_without_a_state_dict(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    assert "\n  got: a Tensor, not a dict of tensors\n" in refused(tmp_path / "tensor.pth")
    torch.save({"epoch": 3, "state_dict": {}, 5: "x"}, tmp_path / "empty.pth")
    assert "\n  got: it lacks conv1.weight, bn1.weight, bn1.bias and 97 more; it has epoch, state_dict, 5\n" in refused(
        tmp_path / "empty.pth"
    )


def prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


def optimised(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The state of an optimiser that made a step."""
    parameters = [torch.nn.Parameter(value.clone()) for value in state.values() if value.is_floating_point()]
    optimiser = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    return optimiser.state_dict()


@pytest.mark.parametrize(
    ("wrap", "told"),
    [
        (lambda state: prefixed(state, "module."), "module.*; left out: nothing"),
        (lambda state: prefixed(state, "_orig_mod.module."), "_orig_mod.module.*; left out: nothing"),
        (
            lambda state: {"epoch": 3, "state_dict": state, "optimizer": optimised(state)},
            "state_dict.*; left out: epoch, optimizer",
        ),
        (
            lambda state: {
                "pytorch-lightning_version": "2.5.0",
                "hyper_parameters": {"lr": 0.1},
                "optimizer_states": [optimised(state)],
                "state_dict": {**prefixed(state, "model."), "loss.weight": torch.ones(3)},
            },
            "state_dict.model.*; left out: pytorch-lightning_version, hyper_parameters, optimizer_states, loss.weight",
        ),
        (
            lambda state: {"model": {"state_dict": {name: value.half() for name, value in state.items()}}},
            "model.state_dict.*; left out: nothing",
        ),
        (lambda state: {**state, "epoch": 3}, None),
        (lambda state: {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")}, None),
    ],
    ids=["DataParallel", "compiled", "optimiser", "Lightning", "nested", "number", "without counters"],
)
def test_checkpoints_as_other_projects_save_them(
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    wrap: Callable[[dict[str, torch.Tensor]], dict[str, Any]],
    told: str | None,
) -> None:
    path = tmp_path / "mine.ckpt"
    torch.save(wrap(state), path)
    with caplog.at_level(logging.INFO, "popspark"):
        trunk = load_trunk(RESNET18, path)
    torch.testing.assert_close(trunk.conv1.weight, state["conv1.weight"], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(trunk.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"])
    expected = [f"{path}: the parameters of resnet18 stand at {told}"] if told else []
    assert [record.getMessage() for record in caplog.records] == expected


def test_a_ranker_s_head_is_found_in_a_checkpoint_too(tmp_path: Path) -> None:
    network = models.resnet18()
    network.fc = torch.nn.Linear(512, 1)
    torch.save({"state_dict": prefixed(network.state_dict(), "module.")}, tmp_path / "mine.pth")
    head = load_head(RESNET18, tmp_path / "mine.pth")
    assert head is not None
    assert torch.equal(head["weight"], network.fc.weight)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (
            lambda s: {"student": s, "teacher": s},
            "it has the network 2 times: student., teacher.; save the one that is",
        ),
        (
            lambda s: prefixed(s, "q.") | prefixed(s, "k."),
            "it has the network 2 times: q., k.; save the one that is meant",
        ),
        (lambda s: {**s, "layer5.0.weight": torch.ones(1)}, "it has more than the network: layer5.0.weight"),
        (
            lambda s: {**s, "conv1.weight": torch.ones(64, 1, 7, 7)},
            "conv1.weight has shape (64, 1, 7, 7), not (64, 3, 7, 7)",
        ),
        (lambda s: {**s, "bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias has numbers that are not finite"),
        (lambda s: {**s, "bn1.bias": torch.ones(64, dtype=torch.int8)}, "bn1.bias has type torch.int8, not floating"),
        (
            lambda s: {**s, "bn1.bias": [0.0] * 64},
            "it lacks bn1.bias; it has conv1.weight, bn1.weight, bn1.running_mean",
        ),
        (lambda s: {}, "it lacks conv1.weight, bn1.weight, bn1.bias and 97 more; it has nothing"),
        (
            lambda s: models.resnet34().state_dict(),
            "it has more than the network: layer1.2.conv1.weight, layer1.2.bn1.weight",
        ),
    ],
)
def test_checkpoints_that_are_not_one_network(
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, Any]],
    got: str,
) -> None:
    torch.save(change(state), tmp_path / "mine.pth")
    assert f"\n  got: {got}" in refused(tmp_path / "mine.pth")


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_takes_its_own_state_from_a_checkpoint(name: str, tmp_path: Path) -> None:
    network = BACKBONES[name].network()
    torch.save({"state_dict": prefixed(network.state_dict(), "module.")}, tmp_path / "mine.pth")
    trunk = load_trunk(BACKBONES[name], tmp_path / "mine.pth")
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in trunk.state_dict().items())


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, path: str, hash_prefix: str) -> None:
        assert url == "https://download.pytorch.org/models/resnet50-0676ba61.pth"
        assert hash_prefix == "0676ba61"
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(WeightsError) as raised:
        find_weights("resnet50")
    folder = tmp_path / "checkpoints"
    assert str(raised.value) == (
        "The ImageNet weights of resnet50 are neither here nor to be downloaded.\n"
        f"  where: {folder}/resnet50-0676ba61.pth\n"
        "  got: URLError: <urlopen error Name or service not known>\n"
        f"  fix: put resnet50-0676ba61.pth (torchvision's own file) into {folder}, or set the family's weights to the "
        "path of a .pth or .safetensors file with its sha256, or to 'random' for features that mean nothing"
    )


def test_a_downloaded_file_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(url: str, path: str, hash_prefix: str) -> None:
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    first = find_weights("vgg19")
    monkeypatch.delattr(torch.hub, "download_url_to_file")
    assert find_weights("vgg19") == first
    assert first.sha256 == hashlib.sha256(b"weights").hexdigest()
