"""Every feature family by its name, with the module that declares it.

Nothing is imported until it is asked for, so a driver that only runs SQL loads neither torch nor OpenCV.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from popspark.runtime.errors import unknown

if TYPE_CHECKING:
    from popspark.features.family import Family

REGISTRY: Mapping[str, str] = {
    "color": "popspark.features.families.color",
    "lbp": "popspark.features.families.lbp",
    "gist": "popspark.features.families.gist",
    "aesthetic": "popspark.features.families.aesthetic",
    "vgg19": "popspark.features.families.vgg19",
    "resnet50": "popspark.features.families.resnet50",
    "resnet50_iipa": "popspark.features.families.resnet50_iipa",
    "resnet18": "popspark.features.families.resnet18",
    "efficientnet_lite0": "popspark.features.families.efficientnet_lite0",
}

if TYPE_CHECKING:
    FamilyName = str
else:
    FamilyName = Literal[tuple(REGISTRY)]
"""A key of `REGISTRY`, as the type of a setting; a type checker cannot read the keys of a mapping."""


def get_family(name: str) -> Family:
    """The family of that name; raises `ConfigError` listing the known ones for any other."""
    if name not in REGISTRY:
        raise unknown("feature family", name, REGISTRY)
    module: Any = import_module(REGISTRY[name])
    family: Family = module.FAMILY
    return family
