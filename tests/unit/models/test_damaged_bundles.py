"""Bundles that are damaged or hostile: each one message, and never another exception than `BundleError`."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from popspark.models.bundle import Bundle, Reduction, find_trunk, load_bundle, quantiles, write_bundle, write_trunk
from popspark.models.predictor import Predictor
from popspark.runtime.errors import BundleError

MANIFEST: dict[str, Any] = {
    "name": "small",
    "version": "3",
    "kind": "ranker",
    "features": [{"name": "color", "version": "1.1", "dim": 4}, {"name": "lbp", "version": "1.2", "dim": 3}],
}
ONES = np.ones(7, np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    visual = Reduction(0 * ONES, ONES, np.ones((1, 7), np.float32), 0 * ONES[:1], ONES[:1])
    write_bundle(Bundle(MANIFEST, {}, {"visual": visual}, quantiles(np.arange(50.0))), tmp_path / "small", "# A card")
    return tmp_path / "small"


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as raised:
        load_bundle(path)
    assert raised.value.exit_code == 65
    return str(raised.value)


def read(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """The file with that content, and its sha256 in the manifest: a bundle that was made so."""
    (folder / name).write_bytes(content)
    manifest = read(folder)
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/hostname",
        "/etc/hostname",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "a\0b",
        "C:x",
        "x\n",
        "..%2fx",
        "~",
        "-rf",
        "con|x",
        "ü",
        "x" * 300,
    ],
)
def test_a_name_that_leaves_the_folder_is_never_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    opened: list[str] = []
    before = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (opened.append(path.name), before(path))[1])
    manifest = read(folder)
    manifest["files"][name] = hashlib.sha256(b"").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "must be a plain name of a file in the bundle, without a folder" in refused(folder)
    assert opened == ["manifest.json"]

    manifest = {**read(folder), "trunk": {"family": "resnet18", "file": name, "sha256": "0" * 64}}
    del manifest["files"][name]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "got: trunk.file = " in refused(folder)
    assert set(opened) == {"manifest.json"}


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"files": ["reference.safetensors"]}, "files = ['reference.safetensors']: Input should be a valid dictionary"),
        ({"files": None}, "files = None: Input should be a valid dictionary"),
        ({"features": None}, "features = None: Input should be a valid list"),
        ({"features": []}, "features = []: List should have at least 1 item after validation, not 0"),
        ({"features": ["lbp"]}, "features.0 = lbp: Input should be a valid dictionary or instance of _Feature"),
        ({"features": [{"name": "lbp"}]}, "features.0.version = {'name': 'lbp'}: Field required"),
        ({"features": [{"name": "lbp", "version": "1", "dim": 0}]}, "features.0.dim = 0: Input should be greater than"),
        ({"features": [{"name": "a", "version": "1", "dim": 7}] * 2}, "each family once; twice: a"),
        ({"features": [{"name": "a", "version": "1", "dim": "x"}]}, "features.0.dim = x: Input should be a valid int"),
        ({"features": [{"name": 1, "version": "1", "dim": 7}]}, "features.0.name = 1: Input should be a valid string"),
        ({"features": [{"name": "a" * 101, "version": "1", "dim": 7}]}, "features.0.name = " + "a" * 100 + ": String"),
        ({"features": [{"name": "a", "version": 1, "dim": 7}]}, "features.0.version = 1: Input should be a valid str"),
        (
            {"features": [{"name": "a", "version": "1", "dim": 7.0}]},
            "features.0.dim = 7.0: Input should be a valid int",
        ),
        ({"features": [{"name": "a", "version": "1", "dim": True}]}, "features.0.dim = True: Input should be a valid"),
        ({"is_simulated": "no"}, "is_simulated = no: Input should be a valid boolean"),
        ({"network": {"towers": {"visual": ["2", 3]}}}, "network.towers.visual.0 = 2: Input should be a valid int"),
        ({"kind": {"a": 1}}, "kind = {'a': 1}: Input should be a valid string"),
        ({"network": {"towers": {"aural": [2, 3]}}}, "network.towers.aural.[key] = aural: Input should be 'visual'"),
        ({"network": {"towers": {"visual": [2]}}}, "network.towers.visual.1 = [2]: Field required"),
        ({"network": "vscnn"}, "network = vscnn: Input should be a valid dictionary"),
        ({"social": {"mode": "later"}}, "social.mode = later: Input should be 'paper' or 'point_in_time'"),
        ({"social": {"mode": "paper", "names": ["age"]}}, "must be the 34 social values in their order"),
        ({"feature_settings": [1]}, "feature_settings = [1]: Input should be a valid dictionary"),
        ({"trunk": {"family": "resnet18"}}, "trunk.file = {'family': 'resnet18'}: Field required"),
        ({"is_simulated": "perhaps"}, "is_simulated = perhaps: Input should be a valid boolean"),
    ],
)
def test_a_manifest_of_other_types(folder: Path, change: dict[str, Any], got: str) -> None:
    (folder / "manifest.json").write_text(json.dumps({**read(folder), **change}))
    message = refused(folder)
    assert message.startswith(f"manifest.json cannot be used.\n  where: {folder}\n  got: ")
    assert got in message


@pytest.mark.parametrize("key", ["name", "version"])
def test_a_long_name_does_not_fill_the_message(folder: Path, key: str) -> None:
    (folder / "manifest.json").write_text(json.dumps({**read(folder), key: "a" * 100_000}))
    assert len(refused(folder)) < 500


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"\xff\xfe\xfd",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"1" * 10_000,
        b'{"format": 1, "name": "\\ud83d"}',
        b"NaN",
    ],
)
def test_a_manifest_that_is_no_manifest(folder: Path, written: bytes) -> None:
    (folder / "manifest.json").write_bytes(written)
    message = refused(folder)
    assert message.startswith(("manifest.json is not JSON.\n", "Unknown bundle format.\n"))
    assert len(message) < 1000


def change(**tensors: Any) -> Callable[[dict[str, Any]], None]:
    def alter(held: dict[str, Any]) -> None:
        for name, values in tensors.items():
            held.pop(f"visual.{name}", None) if values is None else held.update({f"visual.{name}": values})

    return alter


@pytest.mark.parametrize(
    ("alter", "got"),
    [
        (change(center=None), "visual.center is missing"),
        (change(more=ONES), "visual.more is none of them"),
        (change(center=ONES[:6]), "visual.center has shape (6,), not (7,)"),
        (change(components=np.ones((2, 7), np.float32)), "visual.components has shape (2, 7), not (1, 7)"),
        (change(center=np.ones(7, np.int32)), "visual.center has type int32, not floating"),
        (change(center=ONES * np.nan), "visual.center has numbers that are not finite"),
        (change(out_mean=ONES[:1] * np.inf), "visual.out_mean has numbers that are not finite"),
        (change(scale=0 * ONES), "visual.scale has numbers that are not above 0"),
        (lambda held: held.clear(), "visual.center is missing"),
        (lambda held: held.update({"social.center": ONES}), "social.center is none of them"),
        (lambda held: held.update({f"x{n}": ONES for n in range(9)}), "and 4 more"),
    ],
)
def test_tensors_that_the_manifest_does_not_lead_to(
    folder: Path, alter: Callable[[dict[str, Any]], None], got: str
) -> None:
    held = dict(load((folder / "reduction.safetensors").read_bytes()))
    alter(held)
    rewrite(folder, "reduction.safetensors", save(held))
    message = refused(folder)
    assert message.startswith(
        f"A file of the bundle does not hold what its manifest says.\n  where: {folder}: reduction.safetensors\n  got: "
    )
    assert got in message


@pytest.mark.parametrize(
    ("held", "got"),
    [
        ({}, "quantiles is missing"),
        ({"quantiles": np.ones(1)}, "quantiles has shape (1,), not (2,)"),
        ({"quantiles": np.ones((3, 3))}, "quantiles has shape (3, 3), not (9,)"),
        ({"quantiles": np.array([0, np.nan])}, "quantiles has numbers that are not finite"),
        ({"quantiles": np.array([1.0, 0.0])}, "The reference distribution of a bundle must rise."),
    ],
)
def test_a_reference_that_is_no_distribution(folder: Path, held: dict[str, Any], got: str) -> None:
    rewrite(folder, "reference.safetensors", save(held))
    assert got in refused(folder)


def test_a_network_that_the_manifest_does_not_have_and_the_other_way_round(folder: Path) -> None:
    rewrite(folder, "network.safetensors", save({"a": ONES}))
    assert refused(folder).startswith("The manifest says nothing of the network.")
    manifest = {**read(folder), "network": {"towers": {"visual": [1, 3]}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    message = refused(folder)
    assert "towers.visual.0.weight is missing\n" in message
    assert message.endswith("and 23 more\n  fix: copy the bundle again, or release the model anew")


def header(content: dict[str, Any], n_bytes: int = 8) -> bytes:
    written = json.dumps(content).encode()
    return struct.pack("<Q", len(written)) + written + bytes(n_bytes)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04.",
        b"\xff" * 100,
        header({"visual.center": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}),
        header({"visual.center": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}),
        header({"visual.center": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}),
        header({"visual.center": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}),
        header({"visual.center": {"dtype": "F32", "shape": [2], "data_offsets": [2**62, 2**63]}}),
        header({"visual.center": {"dtype": "I8", "shape": [[2]], "data_offsets": "x"}}),
        header({"__metadata__": {"a": 1}}),
    ],
)
def test_what_is_no_safetensors_or_of_no_type_of_numpy(folder: Path, content: bytes) -> None:
    rewrite(folder, "reduction.safetensors", content)
    message = refused(folder)
    assert message.startswith(f"A file of the bundle is not safetensors.\n  where: {folder}: reduction.safetensors\n")


def zipped(folder: Path, path: Path, prefix: str = "", **options: Any) -> bytes:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{prefix}{file.name}")
    return path.read_bytes()


def flag_as(content: bytes, at_local: int, at_central: int, value: int) -> bytes:
    """A zip with a two-byte field of all its entries changed."""
    changed = bytearray(content)
    for start, offset in ((b"PK\x03\x04", at_local), (b"PK\x01\x02", at_central)):
        at = changed.find(start)
        while at >= 0:
            changed[at + offset : at + offset + 2] = struct.pack("<H", value)
            at = changed.find(start, at + 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "The bundle cannot be read."),
        (lambda content: content[:-1], "The bundle cannot be read."),
        (lambda content: b"", "The bundle cannot be read."),
        (lambda content: b"<html>404</html>", "The bundle cannot be read."),
        (lambda content: b"\x1f\x8b\x08\x00", "The bundle cannot be read."),
        (lambda content: flag_as(content, 6, 8, 1), "The bundle cannot be read."),  # encrypted
        (
            lambda content: flag_as(content, 8, 10, 8),
            "The bundle cannot be read.",
        ),  # not the method that it is packed by
        (lambda content: flag_as(content, 8, 10, 14), "The bundle cannot be read."),
        (lambda content: flag_as(content, 8, 10, 99), "The bundle cannot be read."),
        (lambda content: content.replace(b'"small"', b'"smalL"'), "The bundle cannot be read."),  # its CRC
    ],
)
def test_zips_that_are_broken_or_encrypted(
    folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "small.zip"
    path.write_bytes(damage(zipped(folder, path)))
    assert refused(path).startswith(f"{message}\n  where: {path}: manifest.json\n  got: ")


def test_zips_of_something_around_the_files(folder: Path, tmp_path: Path) -> None:
    zipped(folder, tmp_path / "small.zip", prefix="small/")
    assert refused(tmp_path / "small.zip").endswith("must hold the files themselves, not the folder around them")
    (tmp_path / "inner").mkdir()
    zipped(folder, tmp_path / "inner" / "small.zip")
    zipped(tmp_path / "inner", tmp_path / "outer.zip")
    assert refused(tmp_path / "outer.zip").startswith("A bundle without its manifest.json.")


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    (folder / "reduction.safetensors").unlink()
    (folder / "reduction.safetensors").mkdir()
    assert refused(folder).startswith("reduction.safetensors is not the file that this bundle was released with.")


@pytest.mark.parametrize("values", [np.array([1, np.nan], np.float32), np.array([np.inf])])
def test_a_trunk_of_numbers_that_are_not_finite(folder: Path, values: Any) -> None:
    file = write_trunk({"conv1.weight": values}, "resnet18", folder)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    trunk = {"family": "resnet18", "file": file.name, "sha256": sha256}
    (folder / "manifest.json").write_text(json.dumps({**read(folder), "trunk": trunk}))
    with pytest.raises(BundleError, match=r"conv1\.weight has numbers that are not finite"):
        find_trunk(load_bundle(folder))
    file.write_bytes(b"another")
    with pytest.raises(BundleError, match="is not the file that this bundle was released with"):
        find_trunk(load_bundle(folder))


JUNK = (None, True, -1, 2**80, 1e300, float("nan"), "", "x", "\ud800", "../x", [], {}, [[]], {"a": []}, [1, None])


def _mutate(node: Any, rng: random.Random) -> Any:
    """One value, at random, replaced, left out, or given twice."""
    if isinstance(node, dict | list) and node and rng.random() < 0.8:
        key = rng.choice(list(node) if isinstance(node, dict) else list(range(len(node))))
        if rng.random() < 0.2:
            del node[key]
        else:
            node[key] = _mutate(node[key], rng)
        return node
    return copy.deepcopy(rng.choice(JUNK))


def test_manifests_altered_at_random(folder: Path) -> None:
    """Loaded and fit to score, or refused; no other exception."""
    outcomes = set()
    whole = {**read(folder), "trunk": None, "social": {"mode": "paper"}, "feature_settings": {"dtype": "float32"}}
    for seed in range(500):
        rng = random.Random(seed)
        manifest = copy.deepcopy(whole)
        for _ in range(rng.randint(1, 3)):
            manifest = _mutate(manifest, rng)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        try:
            predictor = Predictor(load_bundle(folder))
        except BundleError:
            outcomes.add("refused")
            continue
        families = list(predictor.bundle.feature_versions)
        score = predictor.score(sum(predictor.project(name, ONES[None, :3]) for name in families), ONES[None, :0])
        assert np.isfinite(score).all(), f"seed {seed}"
        assert predictor.bundle.archive_name
        outcomes.add("ok")
    assert outcomes == {"ok", "refused"}


def test_zips_altered_at_random(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.zip"
    content = zipped(folder, path, compression=zipfile.ZIP_DEFLATED)
    for seed in range(300):
        rng = random.Random(seed)
        changed = bytearray(content)
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(changed)) if rng.random() < 0.5 else len(changed) - 1 - rng.randrange(400)
            changed[at] = rng.randrange(256)
        path.write_bytes(bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.1 else changed))
        try:
            load_bundle(path)
        except BundleError:
            continue
