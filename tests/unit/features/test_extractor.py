"""One pass over images, with families that stand in for the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from popspark.features.extractor import Extractor, map_ahead
from popspark.features.family import Batched, Image
from popspark.features.plan import PlannedFamily, plan_features
from popspark.features.registry import get_family
from popspark.features.settings import FeatureSettings
from popspark.images import decode as codecs
from popspark.images.limits import Limits
from popspark.images.references import Reference
from popspark.networks import weights as weights_module
from popspark.runtime.config import validate_section
from popspark.runtime.errors import ConfigError, WeightsError
from tests.encoded import encode


def picture(value: int) -> bytes:
    return encode(np.full((4, 6, 3), value, np.uint8), "PNG")


def given(contents: Iterable[bytes | None]) -> Iterator[Reference]:
    return (Reference(None, content=content) for content in contents)


def mean(pictures: Sequence[Image]) -> np.ndarray:
    return np.array([[p.mean()] for p in pictures], np.float32)


class Deep:
    """A batched family: prepares the first pixel, doubles it, and notes the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def prepare(self, image: Image) -> Image:
        return image[:1, :1]

    def forward(self, prepared: Sequence[Image]) -> np.ndarray:
        self.batches.append(len(prepared))
        return np.array([[2.0 * p[0, 0, 0]] for p in prepared], np.float32)

    def __call__(self, pictures: Sequence[Image]) -> np.ndarray:
        return self.forward([self.prepare(p) for p in pictures])


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_images", [0, 1, 4, 5, 23])
def test_one_row_per_content_in_order(n_images: int, n_threads: int) -> None:
    deep = Deep()
    extractor = Extractor({"mean": mean, "deep": deep}, batch_size=4, n_threads=n_threads)
    rows = list(extractor.extract(given(picture(i) for i in range(n_images))))
    assert [float(row.values["mean"][0]) for row in rows] == list(range(n_images))
    assert [float(row.values["deep"][0]) for row in rows] == [2 * i for i in range(n_images)]
    assert {row.status for row in rows} <= {"ok"}
    assert deep.batches == [4] * (n_images // 4) + [n_images % 4] * (n_images % 4 > 0)


def test_the_stand_in_is_batched_and_a_function_is_not() -> None:
    assert isinstance(Deep(), Batched)
    assert not isinstance(mean, Batched)


def test_decoding_runs_ahead_no_further_than_two_batches() -> None:
    n_decoded = 0

    def decode(content: bytes, limits: Limits) -> Image:
        nonlocal n_decoded
        n_decoded += 1
        return codecs.decode(content, limits)

    asked = 0

    def contents() -> Iterator[bytes]:
        nonlocal asked
        for i in range(60):
            asked += 1
            yield picture(i)

    extractor = Extractor({"deep": Deep()}, batch_size=4, decode=decode)
    for n_out, _ in enumerate(extractor.extract(given(contents())), 1):
        batch_end = -(-n_out // 4) * 4
        assert asked <= batch_end + 2 * 4
        assert n_decoded <= asked
    assert asked == n_decoded == 60


@pytest.mark.parametrize(("weights", "n_ahead"), [([1] * 30, 8), ([30] * 30, 3), ([200] * 30, 1)])
def test_large_items_are_computed_fewer_ahead_but_never_none(weights: list[int], n_ahead: int) -> None:
    """By what they weigh, 100 in all, and by their number, 8."""
    asked: list[int] = []

    def items() -> Iterator[int]:
        for weight in weights:
            asked.append(weight)
            yield weight

    found = map_ahead(items(), lambda weight: weight, 2, 8, weigh=lambda weight: weight, max_weight=100)
    for n_out, weight in enumerate(found, 1):
        assert weight == weights[n_out - 1]
        assert len(asked) <= n_out + n_ahead
    assert asked == weights


def test_missing_and_refused_contents_are_rows_and_leave_the_batch() -> None:
    deep = Deep()
    contents = [None, b"", b"no image", picture(7), picture(8)[:-30]]
    extractor = Extractor({"mean": mean, "deep": deep}, batch_size=8, limits=Limits(max_bytes=10_000))
    rows = list(extractor.extract(given(contents)))
    assert [row.status for row in rows] == ["missing", "empty", "not_an_image", "ok", "corrupt"]
    assert [row.error for row in rows[:2]] == ["the image was not found", "the file has no bytes"]
    assert str(rows[2].error).startswith("none of JPEG, PNG, WEBP, GIF, BMP, TIFF")
    assert rows[3].error is None
    assert [sorted(row.values) for row in rows] == [[], [], [], ["deep", "mean"], []]
    assert deep.batches == [1]


def test_a_whole_batch_of_refusals_never_reaches_the_network() -> None:
    deep = Deep()
    rows = list(Extractor({"deep": deep}, batch_size=2).extract(given([None, b"", picture(1)])))
    assert [row.status for row in rows] == ["missing", "empty", "ok"]
    assert deep.batches == [1]


def test_limits_reach_the_decoder() -> None:
    (row,) = Extractor({"mean": mean}, 1, Limits(max_pixels=23)).extract(given([picture(0)]))
    assert (row.status, row.error) == (
        "too_many_pixels",
        "6 x 4 pixels; the limit is 23 in all",
    )


def test_a_family_that_fails_costs_only_its_own_values() -> None:
    def picky(pictures: Sequence[Image]) -> np.ndarray:
        if pictures[0].max() == 3:
            raise ValueError("not a three")
        return mean(pictures)

    class PickyDeep(Deep):
        def prepare(self, image: Image) -> Image:
            if image.max() == 4:
                raise MemoryError("no room")
            return super().prepare(image)

    extractor = Extractor({"picky": picky, "mean": mean, "deep": PickyDeep()}, batch_size=4)
    rows = list(extractor.extract(given([picture(2), picture(3), picture(4)])))
    assert [(row.status, row.error) for row in rows] == [
        ("ok", None),
        ("failed", "picky: ValueError: not a three"),
        ("failed", "deep: MemoryError: no room"),
    ]
    assert [sorted(row.values) for row in rows] == [["deep", "mean", "picky"], ["deep", "mean"], ["mean", "picky"]]


def test_a_network_that_fails_ends_the_task() -> None:
    """A fault of the device is no image's; Spark must try the task again."""

    class Broken(Deep):
        def forward(self, prepared: Sequence[Image]) -> np.ndarray:
            raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match=r"^device lost$"):
        list(Extractor({"deep": Broken()}, 2).extract(given([picture(1)])))


def test_values_that_are_not_finite_are_refused() -> None:
    def wild(pictures: Sequence[Image]) -> np.ndarray:
        return np.array([[1.0, np.nan, np.inf if pictures[0].max() else -np.inf]], np.float32)

    class WildDeep(Deep):
        def forward(self, prepared: Sequence[Image]) -> np.ndarray:
            return np.array([[np.nan if p.max() else 0.0] for p in prepared], np.float32)

    rows = list(Extractor({"mean": mean, "wild": wild}, 2).extract(given([picture(1)])))
    rows += Extractor({"mean": mean, "wild": WildDeep()}, 2).extract(given([picture(1), picture(0)]))
    assert [(row.status, row.error) for row in rows] == [
        ("failed", "wild: 2 values are not finite"),
        ("failed", "wild: 1 values are not finite"),
        ("ok", None),
    ]
    assert [sorted(row.values) for row in rows] == [["mean"], ["mean"], ["mean", "wild"]]


def test_plan_of_families_without_weights() -> None:
    (color, lbp) = plan_features(FeatureSettings(families=("color", "lbp")))
    assert color == PlannedFamily(get_family("color"), f"{codecs.VERSION}.{get_family('color').version}")
    assert (lbp.name, lbp.weights, lbp.weights_path) == ("lbp", None, None)
    values = color.load("cpu", None)([np.zeros((2, 2, 3), np.uint8)])
    assert values.shape == (1, 32)


def test_plan_of_random_weights_says_so() -> None:
    settings = FeatureSettings(families=("resnet50",), weights={"resnet50": "random"}, dtype="bfloat16", batch_size=3)
    (planned,) = plan_features(settings)
    assert planned.version == f"{codecs.VERSION}.1-random-bfloat16"
    assert (planned.weights, planned.weights_path) == ("random", None)
    assert planned.params == {"sha256": "random", "dtype": "bfloat16", "batch_size": 3}


def test_plan_of_a_file_of_weights_carries_its_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(weights_module, "load_parameters", lambda backbone, path: read.append(path))
    (tmp_path / "mine.pth").write_bytes(b"abc")
    sha256 = codecs.sha256(b"abc")
    weights = {"vgg19": str(tmp_path / "mine.pth")}
    (planned,) = plan_features(FeatureSettings(families=("vgg19",), weights=weights))
    assert planned.version == f"{codecs.VERSION}.1-{sha256[:12]}-float32"
    assert planned.weights == f"{tmp_path}/mine.pth:{sha256}"
    assert planned.weights_path == str(tmp_path / "mine.pth")
    assert read == [tmp_path / "mine.pth"], "read here, and not first on an executor"
    settings = FeatureSettings(families=("vgg19",), weights=weights, weights_sha256={"vgg19": "0" * 64})
    with pytest.raises(WeightsError, match=r"^The weights of vgg19 are not the file that was asked for\.\n"):
        plan_features(settings)


@pytest.mark.parametrize("families", [(), ("lbp", "color", "lbp")])
def test_families_are_named_once_each(families: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as raised:
        plan_features(FeatureSettings(families=families))
    assert str(raised.value) == f"families must name at least one family, each once.\n  got: {list(families)}"


@pytest.mark.parametrize("setting", ["weights", "weights_sha256"])
def test_weights_of_a_family_that_is_not_asked_for(setting: str) -> None:
    settings = FeatureSettings.model_validate({"families": ["lbp", "gist"], setting: {"vgg19": "random"}})
    with pytest.raises(ConfigError) as raised:
        plan_features(settings)
    assert str(raised.value) == (
        "Weights are set for a family that is not asked for.\n  got: vgg19\n  legal: lbp, gist"
    )


def test_an_unknown_family_is_no_setting() -> None:
    with pytest.raises(ConfigError) as raised:
        validate_section(FeatureSettings, {"families": ["vgg16"]}, "here")
    assert str(raised.value) == (
        "This configuration cannot be used.\n  where: here\n  got: families.0 = 'vgg16': Input should be 'color', "
        "'lbp', 'gist', 'aesthetic', 'vgg19', 'resnet50', 'resnet50_iipa', 'resnet18' or 'efficientnet_lite0'. "
        "Did you mean 'vgg19'?"
    )
