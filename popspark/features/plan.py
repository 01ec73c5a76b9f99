"""The plan of an extraction: which families, with the versions that follow from all that decides their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from popspark.features.family import Calculate, Family
from popspark.features.registry import REGISTRY, get_family
from popspark.features.settings import FeatureSettings
from popspark.images import decode as codecs
from popspark.models.bundle import Bundle, find_trunk
from popspark.networks.devices import Device
from popspark.runtime.config import validate_section
from popspark.runtime.errors import BundleError, ConfigError


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
    from popspark.networks.backbones import BACKBONES
    from popspark.networks.weights import find_weights, load_parameters

    name = family.name
    found = find_weights(family.weights, settings.weights.get(name, "imagenet"), settings.weights_sha256.get(name))
    if found.path and found.source != "imagenet":  # read here, rather than on the first executor that needs it
        load_parameters(BACKBONES[family.weights], Path(found.path))
    return PlannedFamily(
        family,
        version=f"{version}-{found.sha256[:12]}-{settings.dtype}",
        weights=f"{found.source}:{found.sha256}" if found.path else "random",
        weights_path=found.path,
        params={"sha256": found.sha256, "dtype": settings.dtype, "batch_size": settings.batch_size},
    )


def check_features(bundle: Bundle, planned: tuple[PlannedFamily, ...]) -> None:
    """Raises `BundleError` unless the features at hand are those, by name, version and dim, that the bundle learned on.

    And where it takes social values, but does not say how they are made.
    """
    have = {family.name: family.version for family in planned}
    if have != bundle.feature_versions:
        raise BundleError(
            f"Bundle {bundle.name} {bundle.version} was made for other features than those at hand.",
            got=", ".join(f"{name} {version}" for name, version in have.items()) or "none",
            legal=", ".join(f"{name} {version}" for name, version in bundle.feature_versions.items()),
            fix="extract the features that the bundle names, with the weights that it names, or train a new bundle",
        )
    dims = {feature["name"]: feature["dim"] for feature in bundle.manifest["features"]}
    for family in planned:
        if dims[family.name] != family.family.dim:
            raise BundleError(
                f"A bundle with another dim of {family.name}.",
                where=str(bundle.path),
                got=dims[family.name],
                legal=family.family.dim,
            )
    if bundle.needs_social and "social" not in bundle.manifest:
        raise BundleError("A bundle that does not say how its social values are made.", where=str(bundle.path))


def plan_bundle(
    bundle: Bundle, device: Device, batch_size: int, weights: Mapping[str, str]
) -> tuple[PlannedFamily, ...]:
    """The families that a loaded bundle reads, checked; a trunk of its own becomes the weights of its family.

    weights: by family, as in `FeatureSettings`, for those that the bundle does not bring.
    """
    unknown = [name for name in bundle.feature_versions if name not in REGISTRY]
    if unknown:
        raise BundleError(
            "A bundle of families that are unknown here.",
            where=str(bundle.path),
            got=", ".join(unknown),
            legal=", ".join(REGISTRY),
            fix="install the popspark that wrote the bundle, or a later one",
        )
    trunk = find_trunk(bundle)
    if trunk and trunk[0] not in bundle.feature_versions:
        raise BundleError("A trunk of none of the bundle's families.", where=str(bundle.path), got=trunk[0])
    if trunk and get_family(trunk[0]).weights is None:
        raise BundleError("A trunk of a family without weights.", where=str(trunk[1]), got=trunk[0])
    own = {trunk[0]: str(trunk[1])} if trunk else {}
    values = {
        "families": list(bundle.feature_versions),
        "dtype": bundle.manifest.get("feature_settings", {}).get("dtype", "float32"),
        "device": device,
        "batch_size": batch_size,
        "weights": {**weights, **own},
        "weights_sha256": {trunk[0]: trunk[2]} if trunk else {},
    }
    planned = plan_features(validate_section(FeatureSettings, values, f"bundle {bundle.path}"))
    check_features(bundle, planned)
    return planned
