"""Tables that cannot be read by row numbers: containers, and JSON that stands column by column.

Each file is streamed by one task, and its rows are joined to those of the other tables by part and place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest.readers.records import lossless, stream_rows
from popspark.ingest.readers.streams import Layout

PLACED = ("file", "place", "raw", "base64", "fault")


@dataclass(frozen=True)
class StreamedTable:
    """rows: part, `PLACED` and `<role>_<field>` as text; place counts from 1, and is 0 of what has none.

    n_rows: by file, the place of the last row.
    """

    role: str
    rows: DataFrame
    n_rows: dict[str, int]

    def beside(self) -> DataFrame:
        """The rows to be joined by part and place, every other column named after the role."""
        names = {name: f"{self.role}_{name}" for name in PLACED if name != "place"}
        return self.rows.withColumnsRenamed(names)


def stream_array(
    spark: SparkSession, files: Sequence[str], role: str, names: Sequence[str], part: str
) -> StreamedTable:
    """A table of objects; names are matched without regard to case. part: the pattern of it in a file's path."""
    records = stream_rows(spark, files, Layout("json_rows"))
    rows = _join_cells(records)
    first = rows.where("fault IS NULL").select(F.json_object_keys("raw").alias("keys")).take(1)
    spelling = {key.lower(): key for key in (first[0]["keys"] or [])} if first else {}
    spelled = {name: spelling.get(name.lower(), name) for name in names}
    schema = ", ".join(f"`{name}` string" for name in [*spelled.values(), "_corrupt"])
    parsed = F.from_json("raw", schema, {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt"})
    found = rows.withColumn("object", parsed).select(
        *_placed(part),
        F.coalesce("fault", F.when(F.col("object._corrupt").isNotNull(), F.lit("not_json"))).alias("fault"),
        *[F.col(f"object.`{key}`").alias(f"{role}_{name}") for name, key in spelled.items()],
    )
    return StreamedTable(role, found, _count(records))


def stream_list(spark: SparkSession, files: Sequence[str], role: str, part: str) -> StreamedTable:
    """A table of one value a line; an empty line is a row without a value."""
    records = stream_rows(spark, files, Layout("separated"))
    rows = records.where((F.trim("raw") != "") | F.col("fault").isNotNull())
    found = rows.select(*_placed(part), F.col("fault"), F.trim("raw").alias(f"{role}_line"))
    return StreamedTable(role, found, _count(rows))


def leave_over(table: StreamedTable, is_refused: Column, n_rows: dict[str, int], n_posts: dict[str, int]) -> DataFrame:
    """Of a streamed table the rows that belong to no post."""
    beyond = [(F.col("part") == part) & (F.col("place") > n_posts.get(part, 0)) for part in n_rows]
    reason = F.when(is_refused, F.lit("labels_do_not_line_up")).otherwise(F.lit("row_without_post"))
    return table.rows.where(reduce(Column.__or__, beyond, is_refused | (F.col("place") == 0))).select(
        "file", F.col("place").alias("line"), "raw", F.coalesce("fault", reason).alias("reason")
    )


def _placed(part: str) -> list[Column]:
    return [
        F.regexp_extract("file", part, 1).alias("part"),
        F.col("file"),
        F.col("line").alias("place"),
        lossless(F.col("raw"), F.col("raw_base64")).alias("raw"),
        F.col("raw_base64").alias("base64"),
    ]


def _count(records: DataFrame) -> dict[str, int]:
    return {row.file: row.n for row in records.groupBy("file").agg(F.max("line").alias("n")).collect()}


def _join_cells(rows: DataFrame) -> DataFrame:
    """One object per place, from the cells of a table by columns; an object that came whole stays as it is."""
    cells = F.transform(F.collect_list("raw"), lambda cell: cell.substr(F.lit(2), F.length(cell) - 2))
    whole = F.when(F.count("*") == 1, F.max("raw")).otherwise(
        F.concat(F.lit("{"), F.array_join(cells, ", "), F.lit("}"))
    )
    return rows.groupBy("file", "line").agg(
        whole.alias("raw"), F.max("raw_base64").alias("raw_base64"), F.max("fault").alias("fault")
    )
