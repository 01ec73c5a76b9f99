"""Which device a task computes on: every combination of setting, Spark's resource and CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import pytest

from popspark.networks.devices import choose_device
from popspark.runtime.errors import DeviceError


@pytest.mark.parametrize(
    ("setting", "addresses", "visible", "n_cuda", "device"),
    [
        # cpu asks for nothing
        ("cpu", ["0"], None, 8, "cpu"),
        # Spark's address is CUDA's index where nothing is hidden
        ("auto", ["3"], None, 8, "cuda:3"),
        ("cuda", ["3", "4"], None, 8, "cuda:3"),
        # one visible GPU is index 0, whatever its address
        ("cuda", ["5"], "5", 1, "cuda:0"),
        ("cuda", ["5"], " 5 ,", 1, "cuda:0"),
        ("cuda", ["0"], "5", 1, "cuda:0"),
        # of several, the address is looked up, by number or by UUID; or it counts within them
        ("cuda", ["5"], "4,5", 2, "cuda:1"),
        ("cuda", ["GPU-b"], "GPU-a, GPU-b", 2, "cuda:1"),
        ("cuda", ["1"], "GPU-a,GPU-b", 2, "cuda:1"),
        ("cuda", ["1"], "6,7", 2, "cuda:1"),
        ("cuda", ["1"], "1,0", 2, "cuda:0"),
        # where Spark assigned none, what torch counts
        ("auto", None, None, 1, "cuda:0"),
        ("auto", [], None, 1, "cuda:0"),
        ("cuda", None, "3", 1, "cuda:0"),
        ("auto", None, None, 0, "cpu"),
        # an empty CUDA_VISIBLE_DEVICES hides all
        ("auto", ["0"], "", 1, "cpu"),
        ("auto", None, " , ", 1, "cpu"),
    ],
)
def test_choice(setting: str, addresses: list[str] | None, visible: str | None, n_cuda: int, device: str) -> None:
    assert choose_device(setting, addresses, visible, n_cuda) == device


@pytest.mark.parametrize(
    ("addresses", "visible", "n_cuda"), [(None, None, 0), ([], None, 0), (["0"], "", 2), (None, "", 2)]
)
def test_cuda_asked_for_and_absent(addresses: list[str] | None, visible: str | None, n_cuda: int) -> None:
    with pytest.raises(DeviceError) as raised:
        choose_device("cuda", addresses, visible, n_cuda)
    assert str(raised.value) == (
        "device is 'cuda', and this task has no GPU.\n"
        f"  got: gpu resource {addresses!r}, CUDA_VISIBLE_DEVICES={visible!r}, {n_cuda} GPUs counted by torch\n"
        "  fix: set spark.task.resource.gpu.amount and spark.executor.resource.gpu.amount, or device to 'auto' or 'cpu'"
    )


@pytest.mark.parametrize("address", ["2", "GPU-c", "-1"])
@pytest.mark.parametrize("setting", ["auto", "cuda"])
def test_an_assigned_gpu_that_is_hidden(setting: str, address: str) -> None:
    with pytest.raises(DeviceError) as raised:
        choose_device(setting, [address], "6,7", 2)
    assert str(raised.value) == (
        "The GPU that Spark assigned is not visible to CUDA.\n"
        "  where: CUDA_VISIBLE_DEVICES\n"
        f"  got: address '{address}', CUDA_VISIBLE_DEVICES='6,7'\n"
        "  fix: unset CUDA_VISIBLE_DEVICES on the executors, or let the discovery script print only visible GPUs"
    )


def test_an_unknown_setting() -> None:
    with pytest.raises(DeviceError) as raised:
        choose_device("gpu", None, None, 1)
    assert str(raised.value) == "Unknown device.\n  got: 'gpu'\n  legal: auto, cpu, cuda"
