"""A bundle written, read, zipped, and altered in every way that loading must notice."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import make_archive

import numpy as np
import pytest

from popspark.models.bundle import (
    FIELDS,
    Bundle,
    Reduction,
    find_trunk,
    load_bundle,
    quantiles,
    write_bundle,
    write_trunk,
    zip_bundle,
)
from popspark.models.tensors import network_shapes
from popspark.runtime.errors import BundleError, PathError

RNG = np.random.default_rng(11)
MANIFEST = {
    "name": "small",
    "version": "3",
    "kind": "vscnn",
    "network": {"towers": {"visual": [2, 3], "social": [3, 2]}},
    "social": {"mode": "paper"},
    "features": [{"name": "lbp", "version": "1.2", "dim": 4}, {"name": "color", "version": "1.1", "dim": 3}],
}


def reduction(n_values: int = 7, n_components: int = 2) -> Reduction:
    center, scale, out_mean, out_scale = (
        RNG.uniform(0.5, 2, n).astype(np.float32) for n in (n_values, n_values, n_components, n_components)
    )
    return Reduction(center, scale, RNG.normal(size=(n_components, n_values)).astype(np.float32), out_mean, out_scale)


@pytest.fixture
def bundle() -> Bundle:
    network = {
        name: np.array(388_500, np.int64)
        if name.endswith("num_batches_tracked")
        else RNG.uniform(0.1, 1, size=shape).astype(np.float32)
        for name, shape in network_shapes({"visual": (2, 3), "social": (3, 2)}).items()
    }
    return Bundle(
        MANIFEST, network, {"social": reduction(34, 3), "visual": reduction()}, quantiles(RNG.normal(size=5000))
    )


@pytest.fixture
def ranker(bundle: Bundle) -> Bundle:
    """Without a network: the reduction is the score."""
    manifest = {key: value for key, value in MANIFEST.items() if key not in ("network", "social")} | {"kind": "ranker"}
    return replace(bundle, manifest=manifest, network={}, reductions={"visual": reduction(7, 1)})


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    write_bundle(bundle, tmp_path / "small", "# A card")
    return tmp_path / "small"


def assert_equal(one: Bundle, other: Bundle) -> None:
    assert one.manifest == other.manifest
    assert list(one.reductions) == list(other.reductions)
    for name, parameter in one.network.items():
        np.testing.assert_array_equal(parameter, other.network[name], strict=True)
    for modality, found in one.reductions.items():
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(found, name), getattr(other.reductions[modality], name), strict=True)
    np.testing.assert_array_equal(one.reference, other.reference, strict=True)


def test_a_round_trip_keeps_all_but_the_network_s_second_half_of_digits(bundle: Bundle, folder: Path) -> None:
    found = load_bundle(folder)
    assert {key: found.manifest[key] for key in MANIFEST} == MANIFEST
    assert (found.name, found.version) == ("small", "3")
    assert list(found.feature_versions.items()) == [("lbp", "1.2"), ("color", "1.1")]
    halved = {name: v if v.dtype == np.int64 else v.astype(np.float16) for name, v in bundle.network.items()}
    assert_equal(replace(bundle, manifest=found.manifest, network=halved), found)


def test_the_folder_holds_what_the_manifest_says_and_no_pickle(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "README.md",
        "network.safetensors",
        "reduction.safetensors",
        "reference.safetensors",
    }
    assert files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "manifest.json"
    }
    assert (folder / "README.md").read_text() == "# A card"


def test_writing_twice_gives_the_same_bytes(bundle: Bundle, folder: Path) -> None:
    before = zip_bundle(load_bundle(folder))
    write_bundle(bundle, folder, "# A card")
    assert zip_bundle(load_bundle(folder)) == before


def test_a_write_that_is_killed_over_an_older_bundle_leaves_none(
    ranker: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "reference.safetensors":
            raise OSError("No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_bundle(ranker, folder, "# A card")
    with pytest.raises(BundleError, match=r"^A bundle without its manifest\.json\."):
        load_bundle(folder)


def test_the_trunk_of_an_older_bundle_goes_with_it(bundle: Bundle, folder: Path) -> None:
    old, new = (write_trunk({"conv.weight": np.full(3, n, np.float32)}, "resnet18", folder) for n in (1.0, 2.0))
    trunk = {"family": "resnet18", "file": new.name, "sha256": hashlib.sha256(new.read_bytes()).hexdigest()}
    write_bundle(replace(bundle, manifest={**MANIFEST, "trunk": trunk}), folder, "# A card")
    assert (old.exists(), new.exists()) == (False, True)
    assert find_trunk(load_bundle(folder)) is not None


def test_a_zip_equals_its_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "__pycache__").mkdir()
    (tmp_path / "small.zip").write_bytes(zip_bundle(load_bundle(folder)))
    assert_equal(load_bundle(tmp_path / "small.zip"), load_bundle(folder))


def test_a_bundle_without_a_network_replaces_one_with(ranker: Bundle, folder: Path) -> None:
    """The file left behind by the bundle before is none of the manifest's, and is not read."""
    write_bundle(ranker, folder, "# A card")
    assert (folder / "network.safetensors").is_file()
    assert load_bundle(folder).network == {}


def test_a_parameter_beyond_half_precision_is_not_released_as_infinite(bundle: Bundle, tmp_path: Path) -> None:
    network = {"layer.weight": np.array([1.0, -65_600.0], np.float32)}
    with pytest.raises(BundleError) as raised:
        write_bundle(replace(bundle, network=network), tmp_path / "large", "")
    assert str(raised.value) == ("A parameter does not fit into half precision.\n  where: layer.weight\n  got: 65600.0")
    assert not (tmp_path / "large" / "manifest.json").exists()


@pytest.mark.parametrize("name", ["README.md", "network.safetensors", "reduction.safetensors", "reference.safetensors"])
def test_an_altered_or_missing_file(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    expected = hashlib.sha256(content).hexdigest()
    altered = content[:-1] + bytes([content[-1] ^ 1])

    def message(found: str) -> str:
        return (
            f"{name} is not the file that this bundle was released with.\n"
            f"  where: {folder}\n"
            f"  got: sha256 {found}\n"
            f"  legal: sha256 {expected}\n"
            "  fix: copy the bundle again; an altered bundle needs a manifest of its own"
        )

    (folder / name).write_bytes(altered)
    with pytest.raises(BundleError) as raised:
        load_bundle(folder)
    assert str(raised.value) == message(hashlib.sha256(altered).hexdigest())
    (folder / name).unlink()
    with pytest.raises(BundleError) as raised:
        load_bundle(folder)
    assert str(raised.value) == message("no such file")


def drop(*keys: str) -> Callable[[dict], None]:
    def alter(manifest: dict) -> None:
        for key in keys:
            manifest.pop(key)

    return alter


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (drop("format"), "Unknown bundle format.\n  where: {}\n  legal: 1"),
        (lambda m: m.update(format=2), "Unknown bundle format.\n  where: {}\n  got: 2\n  legal: 1"),
        (drop("name", "features"), "manifest.json is incomplete.\n  where: {}\n  got: no name, features"),
        (
            drop("files"),
            "manifest.json is incomplete.\n  where: {}\n  got: no files, reduction.safetensors, reference.safetensors",
        ),
        (
            lambda m: m["files"].pop("reduction.safetensors"),
            "manifest.json is incomplete.\n  where: {}\n  got: no reduction.safetensors",
        ),
    ],
)
def test_a_manifest_that_lacks_something(folder: Path, alter: Callable[[dict], object], message: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    alter(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError) as raised:
        load_bundle(folder)
    assert str(raised.value) == message.format(folder)


@pytest.mark.parametrize("key", ["name", "version"])
@pytest.mark.parametrize("value", ["../../x", "a/b", "", ".hidden", "x\n"])
def test_a_name_that_would_lead_elsewhere_as_a_file(folder: Path, key: str, value: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(BundleError, match=rf"^A bundle's {key} must be usable in a file's name\.\n  where: "):
        load_bundle(folder)


def test_a_zip_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("popspark.models.files.MAX_ZIP_BYTES", 1_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(2_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 10_000
    with pytest.raises(BundleError, match="got: 2000000"):
        load_bundle(tmp_path / "bomb.zip")


def test_the_fingerprint_is_that_of_the_files(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    found = load_bundle(folder).fingerprint
    write_bundle(replace(bundle, reference=bundle.reference + 1), tmp_path / "other", "# A card")
    assert load_bundle(tmp_path / "other").fingerprint != found
    assert load_bundle(folder).fingerprint == found


def test_the_shipped_form_is_named_after_its_content(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    name = load_bundle(folder).archive_name
    assert name.startswith("small-3-")
    (tmp_path / "sent.zip").write_bytes(zip_bundle(load_bundle(folder)))
    assert load_bundle(tmp_path / "sent.zip").archive_name == name
    changes = {"reference": bundle.reference + 1}, {"manifest": {**MANIFEST, "social": {"mode": "point_in_time"}}}
    for change in changes:
        write_bundle(replace(bundle, **change), tmp_path / "other", "# A card")
        assert load_bundle(tmp_path / "other").archive_name != name


def test_a_bundle_that_was_not_loaded_has_no_files(bundle: Bundle) -> None:
    with pytest.raises(PathError) as raised:
        zip_bundle(bundle)
    assert str(raised.value) == "A bundle that was not loaded has no files.\n  got: small 3"


def test_a_manifest_that_is_not_json(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1,')
    with pytest.raises(
        BundleError, match=r"^manifest\.json is not JSON\.\n  where: .*\n  got: Expecting property name"
    ):
        load_bundle(folder)
    (folder / "manifest.json").write_text("[1]")
    with pytest.raises(BundleError) as raised:
        load_bundle(folder)
    assert str(raised.value) == f"Unknown bundle format.\n  where: {folder}\n  got: no object\n  legal: 1"


def test_a_file_that_is_not_safetensors_though_the_manifest_knows_it(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "reference.safetensors").write_bytes(b"nothing of the kind")
    manifest["files"]["reference.safetensors"] = hashlib.sha256(b"nothing of the kind").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"^A file of the bundle is not safetensors\.\n  where: "):
        load_bundle(folder)


def test_no_manifest_and_no_bundle(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(BundleError) as raised:
        load_bundle(folder)
    assert str(raised.value) == (
        f"A bundle without its manifest.json.\n  where: {folder}\n  fix: write or copy it again, whole; "
        "a zip must hold the files themselves, not the folder around them"
    )
    with pytest.raises(PathError):
        load_bundle(tmp_path / ("x" * 5000))
    with pytest.raises(PathError) as none:
        load_bundle(tmp_path / "none")
    assert str(none.value) == (
        f"There is no bundle.\n  where: {tmp_path}/none\n  legal: a bundle's folder, or a zip of one"
    )


def test_parts_of_the_projection_add_up() -> None:
    found, values = reduction(7, 2), RNG.normal(size=(10, 7)).astype(np.float32)
    by_hand = ((values.astype(np.float64) - found.center) / found.scale) @ found.components.T.astype(np.float64)
    expected = (by_hand - found.out_mean) / found.out_scale
    parts = found.project(values[:, :3]) + found.project(values[:, 3:4], 3) + found.project(values[:, 4:], 4)
    assert found.finish(parts).dtype == np.float32
    np.testing.assert_allclose(found.finish(parts), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found(values), expected, rtol=1e-5, atol=1e-5)
    assert found.dim == 2


def test_percentiles_are_shares_of_the_reference(bundle: Bundle) -> None:
    scores = RNG.normal(size=20_001)
    found = replace(bundle, reference=quantiles(scores)).percentile(np.array([-99.0, *np.sort(scores)[::5000], 99.0]))
    np.testing.assert_allclose(found, [0, 0, 25, 50, 75, 100, 100], atol=0.01)


def test_a_trunk_is_named_after_its_content_and_found_in_a_folder_or_a_zip(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "ranker"
    file = write_trunk({"conv.weight": np.ones((2, 3), np.float32)}, "resnet18", folder)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f"resnet18-{sha256[:12]}.safetensors"
    manifest = {**MANIFEST, "trunk": {"family": "resnet18", "file": file.name, "sha256": sha256}}
    write_bundle(replace(bundle, manifest=manifest), folder, "# A card")
    found = load_bundle(folder)
    assert find_trunk(found) == ("resnet18", file, sha256)

    sent = tmp_path / "sent.zip"
    sent.write_bytes(zip_bundle(load_bundle(folder)))
    assert file.name not in zipfile.ZipFile(sent).namelist()  # it travels as weights
    assert_equal(load_bundle(sent), found)
    with pytest.raises(BundleError, match=r"^The bundle's trunk is missing\."):
        find_trunk(load_bundle(sent))

    whole = Path(make_archive(str(tmp_path / "whole"), "zip", folder))
    family, unpacked, expected = find_trunk(load_bundle(whole)) or ("", Path(), "")
    assert (family, expected, unpacked.name) == ("resnet18", sha256, file.name)
    assert unpacked.read_bytes() == file.read_bytes()
    assert zip_bundle(load_bundle(whole)) == zip_bundle(load_bundle(folder))
    assert find_trunk(replace(found, manifest=MANIFEST)) is None


def test_a_reduction_keeps_its_digits_where_the_mean_is_far_above_the_spread() -> None:
    rng = np.random.default_rng(8)
    center, scale = np.full(34, 3000, np.float32), np.full(34, 0.5, np.float32)
    components = rng.normal(size=(5, 34)).astype(np.float32)
    values = (center + scale * rng.normal(size=(50, 34))).astype(np.float32)
    found = Reduction(center, scale, components, np.zeros(5), np.ones(5)).project(values)
    exact = (values.astype(np.float64) - center) / scale @ components.T.astype(np.float64)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)
