"""Every feature family by its name, with the module and the variable that declare it.

Nothing is imported until it is asked for, so a driver that only runs SQL loads neither torch nor OpenCV.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from popspark.runtime.errors import unknown

if TYPE_CHECKING:
    from popspark.features.family import Family

REGISTRY: Mapping[str, str] = {
    "color": "popspark.features.families.color:FAMILY",
    "lbp": "popspark.features.families.lbp:FAMILY",
    "gist": "popspark.features.families.gist:FAMILY",
    "aesthetic": "popspark.features.families.aesthetic:FAMILY",
    "vgg19": "popspark.features.families.deep:VGG19",
    "resnet50": "popspark.features.families.deep:RESNET50",
    "resnet50_iipa": "popspark.features.families.deep:RESNET50_IIPA",
    "resnet18": "popspark.features.families.deep:RESNET18",
    "efficientnet_lite0": "popspark.features.families.deep:EFFICIENTNET_LITE0",
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
    module, _, variable = REGISTRY[name].partition(":")
    family: Family = getattr(import_module(module), variable)
    return family
