"""Images to features in one pass, as it happens in one worker: plain Python, no Spark.

Each image is decoded once. A thread decodes, computes the classical families and prepares the crops of the deep ones
a bounded number of images ahead; the caller's thread runs the deep families in full batches. Only crops wait in the
queue, so the memory does not depend on the images' sizes or number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from popspark.features import Batched, Calculate, Family, Image, get_family
from popspark.images import decode as codecs
from popspark.images.isolation import Decode
from popspark.models.bundle import Bundle, find_trunk
from popspark.runtime.config import Section
from popspark.runtime.errors import BundleError, ConfigError

Values = npt.NDArray[np.float32]


Device = Literal["auto", "cpu", "cuda"]


class FeatureSettings(Section):
    """Which families, and how the deep ones run.

    device: `cuda`, `cpu`, or `auto` (a GPU where the task has one). dtype: of the deep networks; part of the version.
    batch_size: images per forward pass at most; a backbone's `cpu_batch` may be fewer. weights: by family, `imagenet`
    (default), a path, or `random`. weights_sha256: by family; checked where given.
    """

    families: tuple[str, ...]
    device: Device = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 16
    weights: dict[str, str] = {}
    weights_sha256: dict[str, str] = {}


@dataclass(frozen=True)
class PlannedFamily:
    """A family with all that decides its values. version: changes whenever they may.

    weights: where they came from, for manifests and reports; None for a family without. weights_path: None where
    there are none, or they are random. params: for the family's `load`, beside path and device.
    """

    family: Family
    version: str
    weights: str | None = None
    weights_path: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.family.name

    def load(self, device: str, weights_path: str | None) -> Calculate:
        """The family's `calculate` on that device. weights_path: where this worker has the file."""
        if self.weights is None:
            return self.family.load()
        return self.family.load(weights=weights_path, device=device, **self.params)


def plan_features(settings: FeatureSettings) -> tuple[PlannedFamily, ...]:
    """The families of the settings with their versions; raises for unknown families and missing weights."""
    if not settings.families or len(set(settings.families)) < len(settings.families):
        raise ConfigError("families must name at least one family, each once.", got=list(settings.families))
    for key in (*settings.weights, *settings.weights_sha256):
        if key not in settings.families:
            raise ConfigError(
                "Weights are set for a family that is not asked for.", got=key, legal=", ".join(settings.families)
            )
    return tuple(_plan_family(get_family(name), settings) for name in settings.families)


def _plan_family(family: Family, settings: FeatureSettings) -> PlannedFamily:
    version = f"{codecs.VERSION}.{family.version}"
    if family.weights is None:
        return PlannedFamily(family, version)
    from popspark.networks.weights import find_weights

    name = family.name
    found = find_weights(family.weights, settings.weights.get(name, "imagenet"), settings.weights_sha256.get(name))
    return PlannedFamily(
        family,
        version=f"{version}-{found.sha256[:12]}-{settings.dtype}",
        weights=f"{found.source}:{found.sha256}" if found.path else "random",
        weights_path=found.path,
        params={"sha256": found.sha256, "dtype": settings.dtype, "batch_size": settings.batch_size},
    )


def check_features(bundle: Bundle, planned: tuple[PlannedFamily, ...]) -> None:
    """Raises `BundleError` unless the features at hand are those, in name and version, that the bundle learned on."""
    have = {family.name: family.version for family in planned}
    if have != bundle.feature_versions:
        raise BundleError(
            f"Bundle {bundle.name} {bundle.version} was made for other features than those at hand.",
            got=", ".join(f"{name} {version}" for name, version in have.items()) or "none",
            legal=", ".join(f"{name} {version}" for name, version in bundle.feature_versions.items()),
            fix="extract the features that the bundle names, with the weights that it names, or train a new bundle",
        )


def plan_bundle(
    bundle: Bundle, path: Path, device: Device, batch_size: int, weights: Mapping[str, str]
) -> tuple[PlannedFamily, ...]:
    """The families that the bundle at `path` reads, checked; a trunk of its own becomes the weights of its family.

    weights: by family, as in `FeatureSettings`, for those that the bundle does not bring.
    """
    trunk = find_trunk(bundle, path)
    own = {trunk[0]: str(trunk[1])} if trunk else {}
    settings = FeatureSettings.model_validate(
        {
            "families": list(bundle.feature_versions),
            "dtype": bundle.manifest.get("feature_settings", {}).get("dtype", "float32"),
            "device": device,
            "batch_size": batch_size,
            "weights": {**weights, **own},
            "weights_sha256": {trunk[0]: trunk[2]} if trunk else {},
        }
    )
    planned = plan_features(settings)
    check_features(bundle, planned)
    return planned


@dataclass
class Extracted:
    """Of one image: a status and its reason, and the values of each family that succeeded."""

    status: str = "ok"
    error: str | None = None
    values: dict[str, Values] = field(default_factory=dict)
    prepared: dict[str, Image] = field(default_factory=dict)

    def fail(self, status: str, error: str) -> None:
        """Notes the first thing that went wrong."""
        if self.status == "ok":
            self.status, self.error = status, error

    def keep(self, name: str, values: Values) -> None:
        """Keeps finite values; refuses others, which would poison every sum they meet."""
        if np.isfinite(values).all():
            self.values[name] = values
        else:
            self.fail("failed", f"{name}: {np.count_nonzero(~np.isfinite(values))} values are not finite")


def map_ahead(items: Iterable[Any], function: Callable[[Any], Any], n_threads: int, depth: int) -> Iterator[Any]:
    """`map(function, items)` in order, computed at most `depth` items ahead."""
    pending: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class Extractor:
    """All planned families of an image in one pass."""

    def __init__(
        self,
        calculates: Mapping[str, Calculate],
        batch_size: int,
        limits: codecs.Limits = codecs.DEFAULT_LIMITS,
        decode: Decode = codecs.decode,
        n_threads: int = 1,
    ) -> None:
        self._batched = {name: c for name, c in calculates.items() if isinstance(c, Batched)}
        self._calculates = dict(calculates)
        self._batch_size, self._limits, self._decode, self._n_threads = batch_size, limits, decode, n_threads

    def extract(self, contents: Iterable[bytes | None]) -> Iterator[Extracted]:
        """One `Extracted` per content, in order. None is an image that was not found."""
        prepared = map_ahead(contents, self._prepare, self._n_threads, depth=2 * self._batch_size)
        while batch := list(islice(prepared, self._batch_size)):
            for name, calculate in self._batched.items():
                ready = [row for row in batch if name in row.prepared]
                if ready:
                    for row, values in zip(ready, calculate.forward([r.prepared[name] for r in ready]), strict=True):
                        row.keep(name, values)
            yield from batch

    def _prepare(self, content: bytes | None) -> Extracted:
        row = Extracted()
        if content is None:
            row.fail("missing", "the image was not found")
            return row
        try:
            image = self._decode(content, self._limits)
        except codecs.ImageRefused as refusal:
            row.fail(refusal.status, str(refusal))
            return row
        for name, calculate in self._calculates.items():
            try:
                if name in self._batched:
                    row.prepared[name] = self._batched[name].prepare(image)
                else:
                    row.keep(name, calculate([image])[0])
            except Exception as error:  # one image must not end the job; the row says what happened
                row.fail("failed", f"{name}: {type(error).__name__}: {error}")
        return row
