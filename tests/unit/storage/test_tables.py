"""The declared tables, as pyarrow writes them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from popspark.storage import tables


@pytest.mark.parametrize("name", tables.__all__)
def test_every_table_has_an_arrow_schema_of_its_columns(name: str) -> None:
    table = getattr(tables, name)
    assert table.arrow_schema.names == list(table.columns)


def test_arrow_types_of_a_run() -> None:
    schema = tables.RUNS.arrow_schema
    assert schema.field("started_at").type == pa.timestamp("us", "UTC")
    assert schema.field("inputs").type == pa.map_(pa.string(), pa.string())
    assert schema.field("counts").type == pa.map_(pa.string(), pa.int64())
    assert tables.IMAGE_FEATURES.arrow_schema.field("values").type == pa.list_(pa.float32())
    assert tables.IMAGES.arrow_schema.field("width_px").type == pa.int32()
