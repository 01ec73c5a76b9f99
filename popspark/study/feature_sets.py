"""The feature sets that the study compares (VSCNN, tables IV and V), as runs of an example's values.

Each is reduced by a PCA of its own: the visual ones to 20 values, the social ones to 14, as the paper does for the
whole modality; a set of fewer values keeps as many as it has. All models read these same reduced values.
"""

from __future__ import annotations

from dataclasses import dataclass

from popspark.networks.vscnn import TOWERS
from popspark.storage.examples import ExamplesRecord
from popspark.storage.social_values import SOCIAL_GROUPS
from popspark.training.reduction import MODALITIES, ValueRange

CLASSICAL = {"color": "Color", "gist": "Gist", "lbp": "LBP", "aesthetic": "Aesthetic"}
GROUP_TITLES = {"user": "User", "post": "Post metadata", "time": "Time"}

LENGTHS = {m: length for a in ("vscnn", "vscnn_ef") for m, (length, _) in TOWERS[a].items()}
KERNELS = {m: kernel for a in ("vscnn", "vscnn_ef") for m, (_, kernel) in TOWERS[a].items()}


@dataclass(frozen=True)
class FeatureSet:
    """One reduced column. dim: values before the reduction. title: as the paper's tables call it."""

    name: str
    title: str
    modality: str
    range: ValueRange
    dim: int

    @property
    def n_components(self) -> int:
        return min(LENGTHS[self.modality], self.dim)

    @property
    def tower(self) -> tuple[int, int]:
        """Input length and kernel of the network that reads it."""
        return self.n_components, KERNELS[self.modality]


def feature_sets(record: ExamplesRecord) -> dict[str, FeatureSet]:
    """The sets by name, in the tables' order. Without any visual family only the social ones are left.

    Deep families of one table are one set each: `deep` the first, the others by their own names.
    """
    found: dict[str, FeatureSet] = {}
    start, n_deep = 0, 0
    for family in record.features:
        name, dim = family.name, family.dim
        values = ValueRange(("visual",), start, start + dim)
        key, title = (
            (name, CLASSICAL[name]) if name in CLASSICAL else ("deep" if not n_deep else name, f"Deep ({name})")
        )
        n_deep += name not in CLASSICAL
        found[key] = FeatureSet(key, title, "visual", values, dim)
        start += dim
    n_visual, start = start, 0
    order = [key for key in CLASSICAL if key in found] + [key for key in found if key not in CLASSICAL]
    sets = {key: found[key] for key in order}
    if n_visual:
        sets["visual"] = FeatureSet("visual", "All visual", "visual", MODALITIES["visual"], n_visual)
    for name, group in SOCIAL_GROUPS.items():
        dim = len(group)
        sets[name] = FeatureSet(name, GROUP_TITLES[name], "social", ValueRange(("social",), start, start + dim), dim)
        start += dim
    sets["social"] = FeatureSet("social", "All social", "social", MODALITIES["social"], start)
    if n_visual:
        sets["fused"] = FeatureSet(
            "fused", "Visual+social, fused early", "fused", MODALITIES["fused"], n_visual + start
        )
    return sets
