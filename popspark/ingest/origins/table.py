"""A CSV or Parquet export of any columns, with a mapping (YAML) from columns of the posts table to those of the export.

    post_id: tweet_id
    user_id: author            # or user_name: screen_name, which is hashed and becomes the user_id
    posted_at: created         # see `popspark.ingest.times` for what is read without saying more
    caption: text
    hashtags: tags             # an array, a list, or text with spaces, commas, semicolons, bars or # between
    n_likes: favourites        # 12, 1,234, 1 234, 75.2k
    image_id: photo_url
    extra: [lang, source]      # columns to keep in `extra`

post_id and one of user_id and user_name are required. A column that is not mapped is null in all posts, and lengths and
numbers of tags come from the texts where they are not mapped themselves. What can be read in two ways needs more:

    posted_at: {column: published, format: "dd.MM.yyyy HH:mm", zone: Europe/Berlin}
    posted_at: {column: day, unit: excel_days}   # seconds, milliseconds, microseconds, nanoseconds
    n_views: {column: aufrufe, decimal: ","}     # 1.234 is then 1234
    user_id: {value: me}                         # the same in all posts

A count is a whole number from 0: any other text rejects the row (`bad_n_likes`), and so does an id that went through a
float (`rounded_id`).

CSV: the first line of each file names the columns, or `columns: [id, text]` in the mapping; a first line `sep=;` sets
the delimiter, a byte order mark the encoding. Each file is streamed by one task (a quoted field may hold newlines, so
that no task can start in the middle), several files are read in parallel. Settings in the mapping: `delimiter: ";"`,
`encoding: cp1252`, `escape: "\\"`. A file of another ending than .csv, .tsv and .gz that has none of the columns is
left out, and that is logged. Parquet is read in parallel within a file too; files may differ in the types of columns.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.ingest import values
from popspark.ingest.exports import Options
from popspark.ingest.mapping import ColumnMapping, Field
from popspark.ingest.readers.records import (
    Layout,
    as_pattern,
    is_container,
    iter_headers,
    list_files,
    lossless,
    stream_records,
    to_batches,
)
from popspark.ingest.tags import split_tags
from popspark.runtime.errors import ConfigError, PathError, SchemaError, closest
from popspark.storage.tables import POSTS

if TYPE_CHECKING:
    import pyarrow as pa

FILE = r"\.(csv|tsv|txt|parquet)(\.gz)?$"
TABLES = re.compile(r"\.(csv|tsv)(\.gz)?$|\.parquet$")
DELIMITERS = ",;\t|"
HEADERS = "file string, columns string, line string"
_LOG = logging.getLogger(__name__)


def parse(spark: SparkSession, source: str, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`.

    Raises `ConfigError` without a mapping, `SchemaError` where a file does not
    have its columns, or one of them twice.
    """
    mapping = options.mapping
    if mapping is None:
        raise ConfigError("The origins csv and parquet need a column mapping.", where="mapping", got="None")
    files = [f for f in list_files(spark, source) if is_container(f) or re.search(FILE, f.lower())]
    if not files:
        raise PathError("There is no table here.", where=source, legal=".csv, .tsv, .txt, gzip, a zip, or .parquet")
    parquet = [f for f in files if f.endswith(".parquet")]
    read = _read_parquet(spark, parquet, mapping) if parquet else _read_csv(spark, files, mapping)
    return _posts(read, mapping, options)


def _check_columns(file: str, columns: Sequence[str], line: str, mapping: ColumnMapping) -> None:
    """Raises `SchemaError` unless each column of the mapping is there once."""
    absent = [name for name in mapping.wanted if name not in columns]
    if absent:
        split = {sign: [name.strip('" ') for name in line.split(sign)] for sign in DELIMITERS}
        other = [sign for sign, names in split.items() if set(mapping.wanted) <= set(names)]
        fix = f"delimiter: {other[0]!r}".replace("'", '"') if other else closest(absent[0], columns)
        fix = fix or ("encoding: utf-16" if "\0" in line else "")
        raise SchemaError(
            "The export does not have columns that the mapping names.",
            where=file,
            got=", ".join(absent),
            legal=", ".join(columns).replace("\0", ""),
            fix=fix or None,
        )
    twice = [name for name in mapping.wanted if list(columns).count(name) > 1]
    if twice:
        raise SchemaError(
            "Two columns of the export have one name.", where=file, got=", ".join(twice), fix="rename one"
        )


def _read_csv(spark: SparkSession, files: list[str], mapping: ColumnMapping) -> DataFrame:
    """(file, line, nth, raw, fault, raw_base64, fields: map of column to text)."""
    layout = Layout("csv", mapping.delimiter, mapping.escape, mapping.columns, mapping.encoding)
    left_out = []
    for file, columns, line in _headers(spark, files, layout):
        is_table = columns is not None and set(columns) & set(mapping.wanted)
        if not is_table and (columns is None or not TABLES.search(file.lower())):
            left_out.append(file)
        else:
            _check_columns(file, columns or [], line, mapping)
    if left_out:
        _LOG.warning("Left out, as they hold no table with a column of the mapping: %s", ", ".join(left_out))
    rows = stream_records(spark, files, layout).where(~F.col("file").isin(left_out) | F.col("fault").like("%:%"))
    record = F.from_json("raw", "row string, values map<string,string>")
    rows = rows.withColumn("record", F.when(F.col("fault").isNull(), record))
    return rows.select(
        "file",
        "line",
        "nth",
        F.coalesce(F.col("record.row"), F.col("raw")).alias("raw"),
        "fault",
        "raw_base64",
        F.col("record.values").alias("fields"),
    )


def _headers(spark: SparkSession, files: list[str], layout: Layout) -> list[tuple[str, list[str] | None, str]]:
    """(file, columns, first line) of each table, columns None where it has no text."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """On executors: the first lines of the files that the batches name."""
        for batch in batches:
            found = (header for file in batch.column(0).to_pylist() for header in iter_headers(file, layout))
            yield from to_batches(
                ((name, None if columns is None else "\n".join(columns), line) for name, columns, line in found),
                HEADERS,
            )

    tasks = spark.createDataFrame([(file,) for file in files], "file string").repartition(len(files), "file")
    found = tasks.mapInArrow(read, HEADERS).collect()
    return [(row.file, None if row.columns is None else row.columns.split("\n"), row.line) for row in found]


def _read_parquet(spark: SparkSession, files: list[str], mapping: ColumnMapping) -> DataFrame:
    """The same of Parquet files, those of one schema in one read."""

    def schema_of(file: str) -> t.StructType:
        return spark.read.parquet(as_pattern(file)).schema

    with ThreadPoolExecutor(8) as pool:
        schemas = list(pool.map(schema_of, files))
    groups = dict[str, list[str]]()
    for file, schema in zip(files, schemas, strict=True):
        _check_columns(file, schema.names, "", mapping)
        groups.setdefault(schema.json(), []).append(file)
    return reduce(DataFrame.unionByName, [_read_group(spark, group) for group in groups.values()])


def _read_group(spark: SparkSession, files: list[str]) -> DataFrame:
    table = spark.read.parquet(*map(as_pattern, files))
    columns = list(table.schema.fields)
    pairs = [cell for field in columns for cell in (F.lit(field.name), _as_text(field))]
    none = F.lit(None).cast("string")
    return table.select(
        F.col("_metadata.file_path").alias("file"),
        (F.col("_metadata.row_index") + 1).alias("line"),
        F.lit(0).cast("bigint").alias("nth"),
        F.to_json(F.struct(*[F.col(f"`{f.name}`") for f in columns]), {"timeZone": "UTC"}).alias("raw"),
        none.alias("fault"),
        none.alias("raw_base64"),
        F.create_map(*pairs).alias("fields"),
    )


def _as_text(field: t.StructField) -> Column:
    """A column of Parquet as a CSV would have it: whole doubles as whole numbers, times as microseconds since 1970."""
    column = F.col(f"`{field.name}`")
    if isinstance(field.dataType, t.ArrayType | t.StructType | t.MapType):
        return F.to_json(column)
    if isinstance(field.dataType, t.TimestampType):
        return F.unix_micros(column).cast("string")
    if isinstance(field.dataType, t.DoubleType | t.FloatType):
        exact = 2**53 if isinstance(field.dataType, t.DoubleType) else 2**24
        is_whole = (column == F.floor(column)) & (F.abs(column) < exact)
        return F.when(is_whole, column.try_cast("bigint").cast("string")).otherwise(column.cast("string"))
    return column.cast("string")


def _tags(text: Column) -> Column:
    def split(found: str | None) -> list[str] | None:
        """On executors: the tags of one post."""
        return split_tags(found)

    return F.udf(split, "array<string>")(text)


def _typed(name: str, text: Column, field: Field, options: Options) -> Column:
    kind = POSTS.columns[name]
    if name in ("post_id", "user_id"):
        return values.identifier(text)
    if name in ("title", "caption"):
        return values.free_text(text)
    if name == "hashtags":
        return _tags(values.free_text(text))
    if name == "mentions":
        names = F.transform(_tags(values.free_text(text)), lambda word: F.regexp_replace(word, "^@", ""))
        return F.transform(names, lambda word: values.user_name(word, options.keep_user_names, options.user_name_salt))
    if isinstance(kind, t.LongType):
        return values.count(text, field.decimal or ".")
    if isinstance(kind, t.DoubleType):
        return values.number(text, field.decimal)
    if isinstance(kind, t.BooleanType):
        return values.flag(text)
    if isinstance(kind, t.TimestampType):
        return values.time(text, field.time_format, field.unit, field.zone)
    return values.known(text)


def _posts(rows: DataFrame, mapping: ColumnMapping, options: Options) -> DataFrame:
    def text(name: str) -> Column:
        field = mapping.fields[name]
        return F.lit(field.value) if field.column is None else F.col("fields")[field.column]

    fields = mapping.fields
    typed = {name: _typed(name, text(name), field, options) for name, field in fields.items() if name != "user_name"}
    if "user_name" in fields:
        typed["user_id"] = values.user_name(text("user_name"), options.keep_user_names, options.user_name_salt)
    checked = [n for n in typed if n not in ("title", "caption", "hashtags", "mentions", "post_id", "user_id")]
    ids = [text(name) for name in ("post_id", "user_id") if name in fields]
    reason = F.coalesce(
        F.split_part("fault", F.lit(":"), F.lit(1)),
        values.first_reason(
            *values.id_reasons(*ids),
            (typed["user_id"].isNull(), "missing_id"),
            *[(values.is_bad(text(name), typed[name]), f"bad_{name}") for name in checked],
        ),
    )
    typed.setdefault("collected_at", values.time_of(options.collected_at))
    lengths = {"title": "n_title_chars", "caption": "n_caption_chars"}
    for name, length in lengths.items():
        if name in typed:
            typed.setdefault(length, F.char_length(typed[name]).cast("bigint"))
    if "hashtags" in typed:
        typed.setdefault("n_hashtags", F.array_size(typed["hashtags"]).cast("bigint"))
    names = [text(name) for name in ("user_name", "mentions") if name in fields and not options.keep_user_names]
    return rows.select(
        "file",
        "line",
        "nth",
        _without_names(names, options.user_name_salt).alias("raw"),
        reason.alias("reason"),
        *[column.alias(name) for name, column in typed.items()],
        values.extras(
            **{name: F.col("fields")[name] for name in mapping.extra}, not_utf8_base64=F.col("raw_base64")
        ).alias("extra"),
    )


def _without_names(names: list[Column], salt: str) -> Column:
    """The text for a reject, with the fields that name users hashed; where a row has no fields, its hash and length."""
    raw = lossless(F.col("raw"), F.col("raw_base64"))
    if not names:
        return F.when(F.col("fault").contains(":"), F.concat_ws(" ", "fault", raw)).otherwise(raw)
    hidden = F.col("raw")
    for name in names:
        known = values.known(name)
        hidden = F.when(known.isNull(), hidden).otherwise(F.replace(hidden, known, values.user_name(name, False, salt)))
    length = F.concat(F.lit("sha256:"), F.sha2(raw, 256), F.lit(" of "), F.char_length(raw), F.lit(" characters"))
    return F.when(F.col("fault").isNull(), hidden).when(F.col("fault").contains(":"), F.col("fault")).otherwise(length)
