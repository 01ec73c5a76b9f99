"""What a bundle's files of tensors must hold: names, shapes and types that follow from its manifest, finite numbers.

They are checked where a bundle is loaded, so that a damaged one ends a job on the driver, before anything is computed.
Nothing here needs torch: the shapes of a network's parameters are those of `popspark.networks.vscnn`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from popspark.models.manifest import Manifest
from popspark.runtime.errors import BundleError
from popspark.storage.social_values import SOCIAL_NAMES

Floats = npt.NDArray[Any]
Shape = tuple[int, ...]

CHANNELS, HIDDEN = (32, 64, 128), (1024, 500)
"""Of `popspark.networks.vscnn`."""
N_NAMES = 5
"""Of tensors, told in one message at most."""
UNREADABLE = (SafetensorError, KeyError, TypeError, ValueError, AttributeError)
"""What safetensors raises for what is not its format, and for types that numpy does not have."""


def read_tensors(content: bytes, name: str, where: str) -> dict[str, Floats]:
    """The tensors of a file of the bundle at `where`; raises `BundleError` where it is no safetensors."""
    try:
        return dict(load(content))
    except UNREADABLE as error:
        raise BundleError(
            "A file of the bundle is not safetensors.",
            where=f"{where}: {name}",
            got=f"{type(error).__name__}: {error}"[:300],
            legal="safetensors with numbers that numpy has",
        ) from error


def network_shapes(towers: Mapping[Any, Shape]) -> dict[str, Shape]:
    """The parameters of `popspark.networks.vscnn.PopularityCNN` by name. towers: input length and kernel of each."""
    return dict(_network_shapes(towers))


def _network_shapes(towers: Mapping[Any, Shape]) -> Iterator[tuple[str, Shape]]:
    n_merged = 0
    for tower, (length, kernel) in towers.items():
        for nth, (n_in, n_out) in enumerate(zip((1, *CHANNELS[:-1]), CHANNELS, strict=True)):
            convolution, norm = f"towers.{tower}.{4 * nth}", f"towers.{tower}.{4 * nth + 1}"
            yield f"{convolution}.weight", (n_out, n_in, kernel)
            yield f"{convolution}.bias", (n_out,)
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"{norm}.{name}", (n_out,)
            yield f"{norm}.num_batches_tracked", ()
        n_merged += CHANNELS[-1] * (length + len(CHANNELS) * (3 - kernel))
    for nth, (n_in, n_out) in enumerate(zip((n_merged, *HIDDEN), (*HIDDEN, 1), strict=True)):
        yield f"fusion.{3 * nth}.weight", (n_out, n_in)
        yield f"fusion.{3 * nth}.bias", (n_out,)


def reduction_shapes(manifest: Manifest) -> dict[str, Shape]:
    """Of reduction.safetensors. The components are as many as a tower takes, or 1 where the reduction is the score."""
    towers = manifest.network.towers if manifest.network else {"visual": (1, 0)}
    n_in = {
        "visual": manifest.n_visual,
        "social": len(SOCIAL_NAMES),
        "fused": manifest.n_visual + len(SOCIAL_NAMES),
    }
    shapes: dict[str, Shape] = {}
    for modality, (n_out, _) in towers.items():
        d = n_in[modality]
        of_one = {"center": (d,), "scale": (d,), "components": (n_out, d), "out_mean": (n_out,), "out_scale": (n_out,)}
        shapes |= {f"{modality}.{name}": shape for name, shape in of_one.items()}
    return shapes


def check_tensors(found: Mapping[str, Floats], shapes: Mapping[str, Shape], name: str, where: str) -> None:
    """Raises `BundleError` unless the tensors are those of `shapes`: finite numbers, above 0 where they divide."""
    faults = [f"{tensor} is missing" for tensor in shapes if tensor not in found]
    faults += [f"{tensor[:100]} is none of them" for tensor in found if tensor not in shapes]
    for tensor, shape in shapes.items():
        if tensor in found and (fault := _fault(tensor, found[tensor], shape)):
            faults.append(f"{tensor} {fault}")
    if faults:
        more = [f"and {len(faults) - N_NAMES} more"] if len(faults) > N_NAMES else []
        raise BundleError(
            "A file of the bundle does not hold what its manifest says.",
            where=f"{where}: {name}",
            got="\n       ".join([*faults[:N_NAMES], *more]),
            fix="copy the bundle again, or release the model anew",
        )


def _fault(tensor: str, values: Floats, shape: Shape) -> str | None:
    if values.shape != shape:
        return f"has shape {values.shape}, not {shape}"
    if tensor.endswith("num_batches_tracked"):  # no score depends on it, and earlier bundles have it in half precision
        return None
    if not np.issubdtype(values.dtype, np.floating):
        return f"has type {values.dtype}, not floating"
    if not np.isfinite(values).all():
        return "has numbers that are not finite"
    if tensor.endswith("scale") and not (values > 0).all():
        return "has numbers that are not above 0"
    if tensor.endswith("running_var") and not (values >= 0).all():
        return "has numbers below 0"
    return None


def check_reference(found: Mapping[str, Floats], where: str) -> npt.NDArray[np.float64]:
    """The quantiles of reference.safetensors; raises `BundleError` unless they rise and are at least two."""
    n_quantiles = found["quantiles"].size if "quantiles" in found else 0
    check_tensors(found, {"quantiles": (max(n_quantiles, 2),)}, "reference.safetensors", where)
    quantiles = found["quantiles"]
    if (np.diff(quantiles) < 0).any():
        raise BundleError("The reference distribution of a bundle must rise.", where=f"{where}: reference.safetensors")
    return quantiles
