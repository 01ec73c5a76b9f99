"""A network's parameters out of checkpoints as projects save them: in a dict among others, with names of their own.

DataParallel writes `module.` before each name, torch.compile `_orig_mod.`, Lightning the attribute that holds the
network (`model.`), with the optimiser's state and the epoch beside the dict of parameters. So any dict within the
checkpoint, and anything before the names, is taken that leads to all parameters of the network; but one alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

MAX_DEPTH = 3
"""Of dicts in dicts."""
N_NAMES = 3
"""Of parameters, told in one message at most."""

Tensors = Mapping[str, torch.Tensor]


class UnfitCheckpoint(Exception):  # noqa: N818  # it becomes a part of a message
    """Raised with what a checkpoint lacks or has too much of."""


@dataclass(frozen=True)
class Parameters:
    """tensors: by the network's own names, those of its head among them. at: the keys, and the prefix, that led there.

    left_out: what else the checkpoint holds.
    """

    tensors: dict[str, torch.Tensor]
    at: str
    left_out: list[str]


def find_parameters(checkpoint: object, wanted: Tensors, head: str) -> Parameters:
    """The parameters that fit, by name and shape, those of `wanted`; raises `UnfitCheckpoint` where it is not one set.

    head: how the names begin that the checkpoint may have beyond these. Batch norm's counters may be absent.
    """
    needed = {name: value.shape for name, value in wanted.items() if not name.endswith("num_batches_tracked")}
    if not isinstance(checkpoint, Mapping):
        raise UnfitCheckpoint(f"a {type(checkpoint).__name__}, not a dict of tensors")
    found = [(keys, prefix, held) for keys, held in _dicts(checkpoint) for prefix in _prefixes(held, needed)]
    lacking = [[name for name in needed if prefix + name not in held] for _, prefix, held in found]
    whole = [candidate for candidate, missing in zip(found, lacking, strict=True) if not missing]
    if not whole:
        nearest = min(lacking, key=len, default=list(needed))
        have = [".".join((*keys, name)) for keys, held in _dicts(checkpoint) for name in held] or list(checkpoint)
        raise UnfitCheckpoint(f"it lacks {_some(nearest)}; it has {_some(have)}")
    if len(whole) > 1:
        levels = (".".join((*keys, prefix)) or "the first level" for keys, prefix, _ in whole)
        raise UnfitCheckpoint(f"it has the network {len(whole)} times: {', '.join(levels)}; save the one that is meant")
    ((keys, prefix, held),) = whole
    tensors = {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}
    _check(tensors, wanted, needed, head)
    left_out = [str(key) for key in checkpoint if keys and str(key) != keys[0]]
    left_out += [name for name in held if not name.startswith(prefix)]
    return Parameters(tensors, ".".join((*keys, prefix)), left_out)


def _dicts(node: Mapping[object, object], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tensors]]:
    """All dicts with tensors in them, by the keys that lead there."""
    held = {str(name): value for name, value in node.items() if isinstance(value, torch.Tensor)}
    if held:
        yield keys, held
    for name, value in node.items():
        if isinstance(value, Mapping) and len(keys) < MAX_DEPTH:
            yield from _dicts(value, (*keys, str(name)))


def _prefixes(held: Tensors, needed: Iterable[str]) -> list[str]:
    """All that may stand before the network's names."""
    before = (name.removesuffix(own) for own in needed for name in held if name.endswith(own))
    return list(dict.fromkeys(prefix for prefix in before if not prefix or prefix.endswith(".")))


def _check(tensors: Tensors, wanted: Tensors, needed: Mapping[str, torch.Size], head: str) -> None:
    more = [name for name in tensors if name not in wanted and not name.startswith(head)]
    if more:
        raise UnfitCheckpoint(f"it has more than the network: {_some(more)}")
    for name, shape in needed.items():
        value = tensors[name]
        if value.shape != shape:
            raise UnfitCheckpoint(f"{name} has shape {tuple(value.shape)}, not {tuple(shape)}")
        if not value.is_floating_point():
            raise UnfitCheckpoint(f"{name} has type {value.dtype}, not floating")
        if not torch.isfinite(value).all():
            raise UnfitCheckpoint(f"{name} has numbers that are not finite")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - N_NAMES} more" if len(names) > N_NAMES else ""
    return ", ".join(str(name)[:100] for name in names[:N_NAMES]) + more if names else "nothing"
