"""What a bundle's manifest.json must say, in which types; whatever it says beyond that is kept as it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from popspark.runtime.errors import BundleError
from popspark.storage.social_values import SOCIAL_NAMES

FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}", re.ASCII)  # names and versions end up in names of files
KEYS = ("name", "version", "kind", "features", "files")
ALWAYS = ("reduction.safetensors", "reference.safetensors")
N_FAULTS = 5
"""Told in one message at most."""

Modality = Literal["visual", "social", "fused"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _plain(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("must be a plain name of a file in the bundle, without a folder")
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True, protected_namespaces=())


Count = Annotated[int, Field(strict=True, gt=0)]
Text = Annotated[str, Field(strict=True, max_length=1000)]
"""Code reads the manifest as it was written, so a number is no text, and 32.0 no count."""


class _Feature(_Section):
    name: Annotated[str, Field(strict=True, pattern=r"^\w{1,100}$")]
    version: Text
    dim: Count
    weights: Text | None = None


class _FeatureSettings(_Section):
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"


class _Social(_Section):
    mode: Literal["paper", "point_in_time"]
    names: tuple[str, ...] = SOCIAL_NAMES

    @field_validator("names")
    @classmethod
    def _are_ours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names != SOCIAL_NAMES:
            raise ValueError(f"must be the {len(SOCIAL_NAMES)} social values in their order")
        return names


class _Network(_Section):
    towers: dict[Modality, tuple[Count, Count]] = Field(min_length=1)


class _Trunk(_Section):
    family: Text
    file: Text
    sha256: Sha256

    _is_plain = field_validator("file")(_plain)


class Manifest(_Section):
    """The keys that code reads. files: sha256 by name."""

    name: str
    version: str
    kind: str = Field(strict=True, pattern=r"^\w[\w.+ -]{0,99}$")
    features: list[_Feature] = Field(min_length=1)
    files: dict[str, Sha256]
    network: _Network | None = None
    social: _Social | None = None
    feature_settings: _FeatureSettings = _FeatureSettings()
    trunk: _Trunk | None = None
    is_simulated: bool = Field(False, strict=True)

    @field_validator("features")
    @classmethod
    def _are_once_each(cls, features: list[_Feature]) -> list[_Feature]:
        twice = [name for name, n in Counter(feature.name for feature in features).items() if n > 1]
        if twice:
            raise ValueError(f"must name each family once; twice: {', '.join(twice)}")
        return features

    @field_validator("files")
    @classmethod
    def _are_plain(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            _plain(name)
        return files

    @property
    def n_visual(self) -> int:
        """Visual values of an image, of all families."""
        return sum(feature.dim for feature in self.features)


def read_manifest(written: bytes, where: str) -> tuple[Mapping[str, Any], Manifest]:
    """The manifest as written, and what code reads of it; raises `BundleError` with what cannot be used.

    where: the bundle.
    """
    try:
        manifest = json.loads(written)
        json.dumps(manifest, ensure_ascii=False).encode()  # half of a surrogate pair cannot be shown in any report
    except (ValueError, RecursionError) as error:
        raise BundleError("manifest.json is not JSON.", where=where, got=str(error)[:300]) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else "no object"
        raise BundleError("Unknown bundle format.", where=where, got=found and _short(found), legal=FORMAT)
    files = manifest.get("files", {})
    lacking = [key for key in KEYS if key not in manifest]
    lacking += [name for name in ALWAYS if isinstance(files, dict) and name not in files]
    if lacking:
        raise BundleError("manifest.json is incomplete.", where=where, got=f"no {', '.join(lacking)}")
    for key in ("name", "version"):
        if not NAME.fullmatch(str(manifest[key])):
            raise BundleError(
                f"A bundle's {key} must be usable in a file's name.", where=where, got=_short(manifest[key])
            )
    try:
        return manifest, Manifest.model_validate(manifest)
    except ValidationError as error:
        faults = [f"{_key(fault['loc'])} = {_short(fault['input'])}: {fault['msg']}" for fault in error.errors()]
        more = [f"and {len(faults) - N_FAULTS} more"] if len(faults) > N_FAULTS else []
        raise BundleError(
            "manifest.json cannot be used.", where=where, got="\n       ".join([*faults[:N_FAULTS], *more])
        ) from error


def _key(steps: tuple[int | str, ...]) -> str:
    return ".".join(_short(step) if isinstance(step, int) else step[:100] for step in steps)


def _short(value: object) -> str:
    return str(value)[:100]
