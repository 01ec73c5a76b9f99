"""Processes killed at random points, a full disk, deadly images: the same table as an undisturbed run each time."""

from __future__ import annotations

import pytest

from bench.faults.nights import Warehouse
from bench.faults.trials import KINDS, trial

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return Warehouse.make(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_right_after_a_fault(warehouse: Warehouse, kind: str) -> None:
    try:
        assert trial(warehouse, kind, seed=1) == []
    except PermissionError as error:
        pytest.skip(f"this process may not mount a small disk: {error}")
