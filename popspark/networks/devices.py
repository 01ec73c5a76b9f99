"""The device that a task computes on.

Spark never sets CUDA_VISIBLE_DEVICES; only the task's resources tell which GPU it was given, and a reused worker can
be given another one each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from popspark.runtime.errors import DeviceError

Device = Literal["auto", "cpu", "cuda"]
"""Setting of a user; `auto` is the GPU where there is one."""


def _cuda_index(address: str, visible: str | None) -> int:
    """The index that CUDA counts the GPU under, given Spark's address and what CUDA_VISIBLE_DEVICES holds.

    Where the variable holds several entries, CUDA counts within them; where it holds one, that is the GPU.
    """
    if visible is None:
        return int(address)
    entries = [entry.strip() for entry in visible.split(",") if entry.strip()]
    if len(entries) == 1:
        return 0
    if address in entries:
        return entries.index(address)
    if address.isdigit() and int(address) < len(entries):
        return int(address)
    raise DeviceError(
        "The GPU that Spark assigned is not visible to CUDA.",
        where="CUDA_VISIBLE_DEVICES",
        got=f"address {address!r}, CUDA_VISIBLE_DEVICES={visible!r}",
        fix="unset CUDA_VISIBLE_DEVICES on the executors, or let the discovery script print only visible GPUs",
    )


def choose_device(setting: str, addresses: Sequence[str] | None, visible: str | None, n_cuda: int) -> str:
    """`cpu` or `cuda:<index>`.

    setting: `cpu`; `cuda`, which raises `DeviceError` where there is none; `auto`, the GPU if there is one.
    addresses: the task's gpu resource, None where Spark assigned none. visible: CUDA_VISIBLE_DEVICES, None if unset.
    n_cuda: the GPUs that torch counts; asked only where Spark assigned none.
    """
    if setting not in get_args(Device):
        raise DeviceError("Unknown device.", got=repr(setting), legal=", ".join(get_args(Device)))
    if setting == "cpu":
        return "cpu"
    hidden = visible is not None and not visible.strip(" ,")
    if addresses and not hidden:
        return f"cuda:{_cuda_index(addresses[0], visible)}"
    if n_cuda and not hidden:
        return "cuda:0"
    if setting == "auto":
        return "cpu"
    raise DeviceError(
        "device is 'cuda', and this task has no GPU.",
        got=f"gpu resource {addresses!r}, CUDA_VISIBLE_DEVICES={visible!r}, {n_cuda} GPUs counted by torch",
        fix="set spark.task.resource.gpu.amount and spark.executor.resource.gpu.amount, or device to 'auto' or 'cpu'",
    )
