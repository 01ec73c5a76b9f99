"""A bundle: all that scoring needs, in a folder or a zip of one. safetensors and JSON, never a pickle.

| file | holds |
|---|---|
| manifest.json | name, version, kind, features with versions, network layout, training facts, sha256 of each file |
| network.safetensors | the network's parameters, in half precision; absent where the reduction is the score itself |
| reduction.safetensors | per modality: centre, scale, components, and the mean and scale of what comes out |
| reference.safetensors | quantiles of the scores of the training split: what a percentile is read from |
| README.md | the model card |
| FAMILY-SHA256.safetensors | a ranker's own trunk: the weights of that feature family; its sha256 is in the manifest |
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from popspark.models.files import check_sha256, open_bundle
from popspark.models.manifest import FORMAT, Manifest, read_manifest
from popspark.models.tensors import check_reference, check_tensors, network_shapes, read_tensors, reduction_shapes
from popspark.runtime.errors import BundleError, PathError

N_QUANTILES = 1001
Floats = npt.NDArray[Any]


@dataclass(frozen=True)
class Reduction:
    """Values (N, d) to their reduced form (N, k): standardise, project, standardise again.

    center, scale: (d,), before the projection. components: (k, d). out_mean, out_scale: (k,).
    """

    center: Floats
    scale: Floats
    components: Floats
    out_mean: Floats
    out_scale: Floats

    @property
    def dim(self) -> int:
        return int(self.components.shape[0])

    @cached_property
    def _weights(self) -> Floats:
        """(d, k): the components with the scale inside, which saves a pass over all values. The centre stays outside:
        where a value's mean is far above its spread, the difference of two large products would have few digits.
        """
        return np.ascontiguousarray((self.components / self.scale).T)

    def project(self, values: Floats, start: int = 0) -> npt.NDArray[np.float64]:
        """What columns [start, start + n) of the input add to the projection, (N, k); such terms add up."""
        columns = slice(start, start + values.shape[1])
        result: npt.NDArray[np.float64] = (values - self.center[columns]) @ self._weights[columns]
        return result

    def finish(self, projected: Floats) -> npt.NDArray[np.float32]:
        """Projections (N, k), summed over all columns, to the network's input."""
        return ((projected - self.out_mean) / self.out_scale).astype(np.float32)

    def __call__(self, values: Floats) -> npt.NDArray[np.float32]:
        return self.finish(self.project(values))


FIELDS = tuple(Reduction.__dataclass_fields__)


@dataclass(frozen=True)
class Bundle:
    """manifest: as in manifest.json. network: parameters by name. reductions: by modality. reference: quantiles.

    path: the folder or zip that it was loaded from; None for one that is yet to be written.
    """

    manifest: Mapping[str, Any]
    network: Mapping[str, Floats]
    reductions: Mapping[str, Reduction]
    reference: npt.NDArray[np.float64]
    path: Path | None = None

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    @property
    def feature_versions(self) -> dict[str, str]:
        """By family, in the order in which their values stand in the visual vector."""
        return {feature["name"]: feature["version"] for feature in self.manifest["features"]}

    @property
    def random_families(self) -> list[str]:
        """The families whose weights are random, so that their values mean nothing."""
        return [feature["name"] for feature in self.manifest["features"] if feature.get("weights") == "random"]

    @property
    def needs_social(self) -> bool:
        """Whether it takes social values."""
        return bool({"social", "fused"} & set(self.reductions))

    @property
    def fingerprint(self) -> str:
        """Of all files, so that a bundle made again under the same name and version is another one."""
        return hashlib.sha256(json.dumps(self.manifest["files"], sort_keys=True).encode()).hexdigest()

    @property
    def archive_name(self) -> str:
        """The name of its shipped form, after its content: a session keeps the first file of a name."""
        content = hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{self.version}-{content[:12]}.zip"

    @property
    def source(self) -> Path:
        """The folder or zip that it was loaded from; raises `PathError` for one that is yet to be written."""
        if self.path is None:
            raise PathError("A bundle that was not loaded has no files.", got=f"{self.name} {self.version}")
        return self.path

    def percentile(self, scores: Floats) -> npt.NDArray[np.float64]:
        """The share, 0 to 100, of the training split's scores that lie below each score."""
        return np.interp(scores, self.reference, np.linspace(0, 100, len(self.reference)))


def quantiles(scores: Floats) -> npt.NDArray[np.float64]:
    """The reference distribution of a bundle, from the scores of its training split."""
    return np.quantile(np.asarray(scores, np.float64), np.linspace(0, 1, N_QUANTILES))


def _half(name: str, values: Floats) -> Floats:
    """Floats in half precision; batch norm's counters stay whole numbers."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    with np.errstate(over="ignore"):
        half = np.asarray(values, np.float16)
    if not np.isfinite(half).all():
        raise BundleError("A parameter does not fit into half precision.", where=name, got=np.abs(values).max())
    return half


def write_bundle(bundle: Bundle, folder: Path, card: str) -> None:
    """Writes the folder, its manifest last, so that a killed write leaves no bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, dict[str, Floats]] = {
        "network.safetensors": {name: _half(name, np.asarray(v)) for name, v in bundle.network.items()},
        "reduction.safetensors": {
            f"{modality}.{name}": np.asarray(getattr(reduction, name), np.float32)
            for modality, reduction in bundle.reductions.items()
            for name in FIELDS
        },
        "reference.safetensors": {"quantiles": np.asarray(bundle.reference, np.float64)},
    }
    contents = {name: save(arrays) for name, arrays in tensors.items() if arrays}
    contents["README.md"] = card.encode()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = {"format": FORMAT, **bundle.manifest, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")


def write_trunk(parameters: Mapping[str, Floats], family: str, folder: Path) -> Path:
    """A trunk fitted anew, as weights of its feature family, named after its content; in single precision.

    The manifest's `trunk` must name it: family, file, sha256. Workers get it as they get any family's weights.
    """
    content = save({name: np.asarray(values) for name, values in parameters.items()})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{family}-{hashlib.sha256(content).hexdigest()[:12]}.safetensors"
    path.write_bytes(content)
    return path


def find_trunk(bundle: Bundle) -> tuple[str, Path, str] | None:
    """Family, file and sha256 of the trunk of a loaded bundle, unpacked from a zip; None where it has none.

    Raises `BundleError` where the file is missing, altered, or holds anything but finite numbers.
    """
    if bundle.manifest.get("trunk") is None:
        return None
    family, name, sha256 = (str(bundle.manifest["trunk"][key]) for key in ("family", "file", "sha256"))
    path = bundle.source
    content = open_bundle(path)(name)
    if content is None:
        raise BundleError("The bundle's trunk is missing.", where=str(path), legal=name, fix="copy the bundle again")
    check_sha256(name, content, sha256, str(path))
    parameters = read_tensors(content, name, str(path))
    check_tensors(parameters, {key: values.shape for key, values in parameters.items()}, name, str(path))
    if path.is_dir():
        return family, path / name, sha256
    unpacked = Path(tempfile.mkdtemp()) / name
    unpacked.write_bytes(content)
    return family, unpacked, sha256


def zip_bundle(bundle: Bundle) -> bytes:
    """A loaded bundle as one file, the same bytes for the same bundle, to be sent to the workers; without its trunk."""
    read = open_bundle(bundle.source)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted([*bundle.manifest["files"], "manifest.json"]):
            archive.writestr(zipfile.ZipInfo(name), read(name) or b"")
    return stream.getvalue()


def load_bundle(path: Path) -> Bundle:
    """Reads a bundle; raises `PathError` where none is, `BundleError` where it is incomplete, altered or unusable.

    No file is opened whose name is not a plain one, and nothing is taken but finite numbers in the shapes that the
    manifest gives.
    """
    read = open_bundle(path)
    written = read("manifest.json")
    if written is None:
        raise BundleError(
            "A bundle without its manifest.json.",
            where=str(path),
            fix="write or copy it again, whole; a zip must hold the files themselves, not the folder around them",
        )
    manifest, checked = read_manifest(written, str(path))
    contents: dict[str, bytes] = {}
    for name, expected in checked.files.items():
        content = read(name)
        check_sha256(name, content, expected, str(path))
        contents[name] = content or b""
    network, parts, reference = (
        read_tensors(contents[name], name, str(path)) if name in contents else {}
        for name in ("network.safetensors", "reduction.safetensors", "reference.safetensors")
    )
    _check_parts(checked, network, parts, str(path))
    reductions = {m: Reduction(*(parts[f"{m}.{name}"] for name in FIELDS)) for m in _modalities(parts)}
    return Bundle(manifest, network, reductions, check_reference(reference, str(path)), path)


def _modalities(parts: Mapping[str, Floats]) -> list[str]:
    return sorted({name.partition(".")[0] for name in parts})


def _check_parts(manifest: Manifest, network: Mapping[str, Floats], parts: Mapping[str, Floats], where: str) -> None:
    if manifest.network is None and network:
        raise BundleError("The manifest says nothing of the network.", where=where, legal="network.towers")
    if manifest.network is not None:
        check_tensors(network, network_shapes(manifest.network.towers), "network.safetensors", where)
    check_tensors(parts, reduction_shapes(manifest), "reduction.safetensors", where)
