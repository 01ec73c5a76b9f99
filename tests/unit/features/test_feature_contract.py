"""The contract of popspark.features, for every family in the registry.

Families with pretrained weights need torch: what can be said of their declaration is said here, what they calculate
in tests/networks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import popspark.features.families
from popspark.features.family import Calculate, Family
from popspark.features.registry import REGISTRY, get_family
from popspark.runtime.errors import ConfigError
from tests.golden.pictures import golden_pictures
from tests.golden.regenerate import FOLDER, read_golden

DIMS = {
    "color": 32,
    "lbp": 59,
    "gist": 512,
    "aesthetic": 11,
    "vgg19": 4096,
    "resnet50": 2048,
    "resnet50_iipa": 2048,
    "resnet18": 512,
    "efficientnet_lite0": 1280,
}
WITHOUT_WEIGHTS = [name for name in REGISTRY if get_family(name).weights is None]

RNG = np.random.default_rng(20260105)


def _images() -> list[np.ndarray]:
    """What a decoder can hand over: sizes and contents at their extremes."""
    shapes = [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (64, 48), (240, 320), (900, 1300)]
    noise = [RNG.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]
    grey = [np.repeat(image[..., :1], 3, axis=2) for image in noise[:5]]
    flat = [np.full((*shape, 3), value, dtype=np.uint8) for shape in shapes[:5] for value in (0, 128, 255)]
    return noise + grey + flat


@pytest.fixture(scope="module", params=WITHOUT_WEIGHTS)
def family(request: pytest.FixtureRequest) -> Family:
    return get_family(request.param)


@pytest.fixture(scope="module")
def calculate(family: Family) -> Calculate:
    return family.load()


def test_registry_equals_the_files() -> None:
    folder = Path(popspark.features.families.__file__).parent
    modules = {declared.partition(":")[0] for declared in REGISTRY.values()}
    assert {f"popspark.features.families.{path.stem}" for path in folder.glob("[!_]*.py")} == modules
    declared = [get_family(name) for name in REGISTRY]
    assert len({id(family) for family in declared}) == len(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_declaration(name: str) -> None:
    family = get_family(name)
    assert family.name == name
    assert family.dim == DIMS[name]
    assert family.version
    assert len(family.labels) in (0, family.dim)
    assert len(set(family.labels)) == len(family.labels)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError) as raised:
        get_family("gits")
    assert str(raised.value) == (
        "Unknown feature family.\n"
        "  got: 'gits'\n"
        "  legal: color, lbp, gist, aesthetic, vgg19, resnet50, resnet50_iipa, resnet18, efficientnet_lite0\n"
        "  fix: Did you mean 'gist'?"
    )


def test_every_image_gives_finite_float32_of_the_right_length(family: Family, calculate: Calculate) -> None:
    images = _images()
    values = calculate(images)
    assert values.dtype == np.float32
    assert values.shape == (len(images), family.dim)
    assert np.isfinite(values).all()


def test_the_input_stays_untouched(calculate: Calculate) -> None:
    images = _images()
    before = [image.copy() for image in images]
    for image in images:
        image.flags.writeable = False
    calculate(images)
    for image, copy in zip(images, before, strict=True):
        np.testing.assert_array_equal(image, copy)


def test_a_batch_equals_one_by_one_and_another_worker(family: Family, calculate: Calculate) -> None:
    images = _images()
    batch = calculate(images)
    other_worker = family.load()
    np.testing.assert_array_equal(batch, np.concatenate([other_worker([image]) for image in images]))
    np.testing.assert_array_equal(batch[::-1], calculate(images[::-1]))


def test_a_view_that_is_not_contiguous_gives_the_same(calculate: Calculate) -> None:
    image = RNG.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    view = image[:, ::-1]
    np.testing.assert_array_equal(calculate([view]), calculate([np.ascontiguousarray(view)]))


def test_golden_vectors(family: Family, calculate: Calculate) -> None:
    golden = read_golden(family)
    pictures = golden_pictures()
    assert list(golden) == list(pictures), "run tests/golden/regenerate.py"
    for name, picture in pictures.items():
        np.testing.assert_allclose(calculate([picture])[0], golden[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_each_golden_file_belongs_to_a_family() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} <= set(REGISTRY)
