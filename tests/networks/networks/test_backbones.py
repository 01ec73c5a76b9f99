"""The deep families against torchvision's own transforms and networks, on real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision import transforms as tv

from popspark.features.family import Batched
from popspark.features.registry import get_family
from popspark.networks.backbones import BACKBONES, crop, crop_at, to_input
from popspark.networks.weights import find_weights

PHOTOS = sorted((Path(__file__).resolve().parents[3] / "sample" / "photos").glob("*.jpg"))[:2]
DEEP = ("vgg19", "resnet50", "resnet50_iipa", "resnet18", "efficientnet_lite0")
RNG = np.random.default_rng(5)
NORMALISE = tv.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in PHOTOS]


@pytest.fixture(scope="module", params=DEEP)
def deep(request: pytest.FixtureRequest) -> tuple[int, Batched]:
    """Each family's dim and its `calculate`, EfficientNet with its true weights, the others with random ones."""
    family = get_family(request.param)
    weights = find_weights(family.name, "imagenet" if family.name == "efficientnet_lite0" else "random")
    calculate = family.load(weights=weights.path, sha256=weights.sha256, device="cpu", dtype="float32", batch_size=4)
    assert isinstance(calculate, Batched)
    return family.dim, calculate


def load_file(name: str, path: Path) -> Batched:
    found = find_weights(name, str(path))
    calculate = get_family(name).load(str(path), sha256=found.sha256, device="cpu", dtype="float32", batch_size=2)
    assert isinstance(calculate, Batched)
    return calculate


def hooked(network: nn.Module, layer: nn.Module, pictures: list[Image.Image]) -> np.ndarray:
    """The outputs (B, dim) of `layer` in torchvision's own forward pass over its own preprocessing."""
    preprocess = tv.Compose([tv.Resize(256), tv.CenterCrop(224), tv.ToTensor(), NORMALISE])
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.flatten(1)))
    with torch.inference_mode():
        network.eval()(torch.stack([preprocess(picture) for picture in pictures]))
    handle.remove()
    return seen[0].numpy()


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert expected.std() > 0.01, "features that are all alike would agree with anything"
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_vgg19_is_torchvision_s_fc7(pictures: list[Image.Image], tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = models.vgg19()
    torch.save(network.state_dict(), tmp_path / "vgg19.pth")
    expected = hooked(network, network.classifier[4], pictures)  # Linear, ReLU, Dropout, Linear, ReLU
    assert_same(load_file("vgg19", tmp_path / "vgg19.pth")([np.asarray(p) for p in pictures]), expected)


@pytest.mark.parametrize("name", ["resnet50", "resnet18"])
def test_resnet_is_torchvision_s_average_pool(name: str, pictures: list[Image.Image], tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = getattr(models, name)()
    for module in network.modules():  # as if trained: statistics that are not the identity
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.5)
    save_file(network.state_dict(), tmp_path / "resnet.safetensors")
    expected = hooked(network, network.avgpool, pictures)
    assert_same(load_file(name, tmp_path / "resnet.safetensors")([np.asarray(p) for p in pictures]), expected)


def test_efficientnet_lite0_is_its_own_package_s_features(pictures: list[Image.Image]) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    weights = find_weights("efficientnet_lite0")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights.path, weights_only=True))
    preprocess = tv.Compose(
        [
            tv.Resize(256, interpolation=tv.InterpolationMode.BICUBIC),
            tv.CenterCrop(224),
            tv.PILToTensor(),
            tv.Lambda(lambda pixels: (pixels.float() - 127) / 128),
        ]
    )
    with torch.inference_mode():
        maps = network.eval().extract_features(torch.stack([preprocess(p) for p in pictures]))  # (B, 1280, 7, 7)
    calculate = get_family("efficientnet_lite0").load(
        weights.path, sha256=weights.sha256, device="cpu", dtype="float32", batch_size=2
    )
    assert_same(calculate([np.asarray(p) for p in pictures]), maps.mean(dim=(2, 3)).numpy())


def test_efficientnet_lite0_knows_a_cat() -> None:
    """With true weights and the right preprocessing, the photograph of a cat is one of ImageNet's cats (281 to 285)."""
    from efficientnet_lite_pytorch import EfficientNet

    weights = find_weights("efficientnet_lite0")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights.path, weights_only=True))
    photo = np.asarray(Image.open(PHOTOS[0].parent / "chelsea.jpg").convert("RGB"))
    backbone = BACKBONES["efficientnet_lite0"]
    inputs = to_input([crop(photo, backbone)], backbone, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        assert 281 <= int(network.eval()(inputs).argmax()) <= 285


@pytest.mark.parametrize(
    "size",
    [(256, 256), (224, 224), (320, 240), (241, 319), (1023, 767), (100, 800), (800, 100), (7, 5), (257, 256), (1, 1)],
)
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_lite0"])
def test_crop_is_torchvision_s(name: str, size: tuple[int, int]) -> None:
    image = RNG.integers(0, 256, (*size, 3)).astype(np.uint8)
    interpolation = {
        "resnet50": tv.InterpolationMode.BILINEAR,
        "efficientnet_lite0": tv.InterpolationMode.BICUBIC,
    }[name]
    preprocess = tv.Compose([tv.Resize(256, interpolation=interpolation), tv.CenterCrop(224)])
    expected = np.asarray(preprocess(Image.fromarray(image)))
    np.testing.assert_array_equal(crop(image, BACKBONES[name]), expected, strict=True)


@pytest.mark.parametrize("size", [(320, 240), (100, 800), (7, 5)])
def test_iipa_s_input_is_the_whole_picture_stretched_to_a_square_in_0_to_1(size: tuple[int, int]) -> None:
    """As the released code has it: Resize((224, 224)) and ToTensor, no mean, no standard deviation."""
    image, backbone = RNG.integers(0, 256, (*size, 3)).astype(np.uint8), BACKBONES["resnet50_iipa"]
    expected = tv.Compose([tv.Resize((224, 224)), tv.ToTensor()])(Image.fromarray(image))
    found = to_input([crop(image, backbone)], backbone, torch.device("cpu"), torch.float32)[0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_training_s_crops_lie_where_they_are_asked_for() -> None:
    image, backbone = RNG.integers(0, 256, (256, 300, 3)).astype(np.uint8), BACKBONES["resnet50_iipa"]
    np.testing.assert_array_equal(crop_at(image, backbone, (0.0, 0.0)), image[:224, :224])
    np.testing.assert_array_equal(crop_at(image, backbone, (1.0, 1.0)), image[32:, 76:])
    np.testing.assert_array_equal(crop_at(image, backbone, (0.5, 0.25)), image[8:232, 38:262])


@pytest.mark.parametrize("shape", [(1, 10_000), (10_000, 1), (3, 4000)])
def test_crop_of_a_strip_is_its_middle(shape: tuple[int, int]) -> None:
    """A strip twice as wide as the crop needs shows the same as one of any length."""
    image = np.zeros((*shape, 3), np.uint8)
    top, left = (max(0, side // 2 - 8 * min(shape) // 2) for side in shape)
    image[top : top + 8 * min(shape), left : left + 8 * min(shape)] = 200
    found = crop(image, BACKBONES["resnet50"])
    assert found.shape == (224, 224, 3)
    assert (found == 200).all()


def test_input_is_normalised_and_channels_last() -> None:
    image = RNG.integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    inputs = to_input(list(image), BACKBONES["vgg19"], torch.device("cpu"), torch.float32)
    expected = torch.stack([NORMALISE(torch.from_numpy(picture).permute(2, 0, 1) / 255) for picture in image])
    torch.testing.assert_close(inputs, expected, rtol=1e-5, atol=1e-5)
    assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_contract(deep: tuple[int, Batched]) -> None:
    """What tests/unit/features/test_feature_contract.py asks of the classical families."""
    dim, calculate = deep
    images = [RNG.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in [(1, 9000), (300, 400)]]
    images += [np.full((64, 64, 3), 255, np.uint8)]
    before = [image.copy() for image in images]
    for image in images:
        image.flags.writeable = False
    values = calculate(images)
    assert values.dtype == np.float32
    assert values.shape == (len(images), dim)
    assert np.isfinite(values).all()
    assert len(np.unique(values.round(6), axis=0)) == len(images), "two pictures have the same features"
    for image, copy in zip(images, before, strict=True):
        np.testing.assert_array_equal(image, copy)
    one_by_one = np.concatenate([calculate([image]) for image in images])
    np.testing.assert_allclose(values, one_by_one, rtol=1e-5, atol=1e-5 * np.abs(values).max())
    np.testing.assert_array_equal(calculate.forward([calculate.prepare(image) for image in images]), values)


def test_a_view_that_is_not_contiguous_gives_the_same(deep: tuple[int, Batched]) -> None:
    _, calculate = deep
    view = RNG.integers(0, 256, (60, 80, 3)).astype(np.uint8)[:, ::-1]
    np.testing.assert_array_equal(calculate([view]), calculate([np.ascontiguousarray(view)]))


def test_a_worker_loads_the_same_features_once() -> None:
    family = get_family("efficientnet_lite0")
    weights = find_weights("efficientnet_lite0")
    first, again = (family.load(weights.path, weights.sha256, "cpu", "float32", 9) for _ in range(2))
    assert first is again
    assert family.load(weights.path, weights.sha256, "cpu", "bfloat16", 9) is not first
