"""Fixtures of all tests. Spark starts only for the tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs and golden values, kept beside the checkout; tests that need them skip without."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is absent")
    return SHARED_DATA


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """One local session for all Spark tests, started by the first that asks."""
    from popspark.runtime.session import get_session

    warehouse = tmp_path_factory.mktemp("spark-warehouse")
    session = get_session(
        "tests",
        {
            "spark.master": "local[2,4]",
            "spark.sql.shuffle.partitions": 2,
            "spark.ui.enabled": "false",
            "spark.sql.warehouse.dir": str(warehouse),
            "spark.driver.memory": "3g",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",  # a short life is not worth a slow compiler
        },
    )
    yield session
    session.stop()
