"""What a table's declaration is, and the types of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import types as t

if TYPE_CHECKING:
    import pyarrow as pa

STRING, LONG, INT, DOUBLE = t.StringType(), t.LongType(), t.IntegerType(), t.DoubleType()
TIMESTAMP, BOOLEAN, BINARY = t.TimestampType(), t.BooleanType(), t.BinaryType()
STRINGS, FLOATS, TEXT_BY_NAME = t.ArrayType(STRING), t.ArrayType(t.FloatType()), t.MapType(STRING, STRING)


@dataclass(frozen=True)
class Table:
    """name: plural noun. columns: name -> type. key: the columns that name a row; never null.

    required: other columns that may not be null. partitioned_by: folders on disk, which can be replaced one by one.
    ordered_by: within each file. row_group_bytes: what a reader of its files holds at once.
    """

    name: str
    columns: dict[str, t.DataType]
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    partitioned_by: tuple[str, ...] = ()
    ordered_by: tuple[str, ...] = ()
    row_group_bytes: int = 64 << 20

    @property
    def schema(self) -> t.StructType:
        never_null = {*self.key, *self.required}
        return t.StructType([t.StructField(name, kind, name not in never_null) for name, kind in self.columns.items()])

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns as pyarrow writes them; times are microseconds in UTC."""
        import pyarrow as pa

        return pa.schema([(name, _arrow_type(kind)) for name, kind in self.columns.items()])


def _arrow_type(kind: t.DataType) -> pa.DataType:
    # Not PySpark's own, which is internal and asks for other arguments from version to version.
    import pyarrow as pa

    if isinstance(kind, t.ArrayType):
        return pa.list_(_arrow_type(kind.elementType))
    if isinstance(kind, t.MapType):
        return pa.map_(_arrow_type(kind.keyType), _arrow_type(kind.valueType))
    plain = {
        "string": pa.string(),
        "bigint": pa.int64(),
        "int": pa.int32(),
        "double": pa.float64(),
        "float": pa.float32(),
        "boolean": pa.bool_(),
        "binary": pa.binary(),
        "timestamp": pa.timestamp("us", "UTC"),
    }
    return plain[kind.simpleString()]
