"""A CSV or Parquet export of any columns, with a mapping (YAML) from columns of the posts table to those of the export.

    post_id: tweet_id
    user_id: author            # or user_name: screen_name, which is hashed and becomes the user_id
    posted_at: created         # epoch seconds or milliseconds, ISO 8601
    caption: text
    hashtags: tags             # an array, a JSON list, or text with spaces, commas or semicolons between
    n_likes: favourites        # 12, 1,234, 75.2k
    image_id: photo_url
    extra: [lang, source]      # columns to keep in `extra`

post_id and one of user_id and user_name are required. A column that is not mapped is null in all posts, and lengths and
numbers of tags come from the texts where they are not mapped themselves.

CSV: the first line of each file names the columns; each file is streamed by one task (a quoted field may hold newlines,
so that no task can start in the middle), several files are read in parallel. `delimiter: ";"` in the mapping sets
another than the comma. Parquet is read in parallel within a file too.
"""

from __future__ import annotations

import re
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.ingest import Options, values
from popspark.ingest.readers.records import Layout, is_container, list_files, lossless, stream_records
from popspark.runtime.errors import ConfigError, PathError, SchemaError, closest
from popspark.storage.tables import POSTS

FILE = r"\.(csv|tsv|txt|parquet)(\.gz)?$"
GENERATED = ("origin", "is_simulated", "extra")
TARGETS = (*[name for name in POSTS.columns if name not in GENERATED], "user_name")
SETTINGS = ("extra", "delimiter")


def _check(mapping: dict[str, Any]) -> None:
    unknown = [name for name in mapping if name not in (*TARGETS, *SETTINGS)]
    if unknown:
        raise ConfigError(
            "The column mapping names what is no column of the posts table.",
            where="mapping",
            got=", ".join(unknown),
            legal=", ".join((*TARGETS, *SETTINGS)),
            fix=closest(unknown[0], TARGETS) or None,
        )
    has_user = ("user_id" in mapping) + ("user_name" in mapping)
    if "post_id" not in mapping or has_user != 1:
        raise ConfigError(
            "The column mapping must name post_id and one of user_id and user_name.",
            where="mapping",
            got=", ".join(mapping) or "nothing",
        )


def parse(spark: SparkSession, source: str, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest`. Raises `ConfigError` for an unusable mapping, `SchemaError` for one that
    names columns which the export does not have.
    """
    mapping = options.mapping or {}
    _check(mapping)
    wanted = [str(c) for name, c in mapping.items() if name not in SETTINGS] + [
        str(c) for c in mapping.get("extra", [])
    ]
    files = [f for f in list_files(spark, source) if is_container(f) or re.search(FILE, f.lower())]
    if not files:
        raise PathError("There is no table here.", where=source, legal=".csv, .tsv, .txt, gzip, a zip, or .parquet")
    if any(f.endswith(".parquet") for f in files):
        rows, columns = _read_parquet(spark, [f for f in files if f.endswith(".parquet")])
    else:
        rows, columns = _read_csv(spark, files, str(mapping.get("delimiter", ",")))
    absent = [name for name in wanted if name not in columns]
    if absent and columns:
        raise SchemaError(
            "The export does not have columns that the mapping names.",
            where=source,
            got=", ".join(absent),
            legal=", ".join(columns),
            fix=closest(absent[0], columns) or None,
        )
    return _posts(rows, mapping, options)


def _read_csv(spark: SparkSession, files: list[str], delimiter: str) -> tuple[DataFrame, list[str]]:
    """(file, line, raw, fault, raw_base64, fields: map of column to text) and the names of the columns."""
    rows = stream_records(spark, files, Layout("csv", delimiter=delimiter))
    record = F.from_json("raw", "row string, values map<string,string>")
    is_row = F.col("fault").isNull()
    rows = rows.withColumn("record", F.when(is_row, record))
    first = rows.where(is_row).select(F.map_keys("record.values").alias("names")).take(1)
    read = rows.select(
        "file",
        "line",
        F.coalesce(F.col("record.row"), F.col("raw")).alias("raw"),
        "fault",
        "raw_base64",
        F.col("record.values").alias("fields"),
    )
    return read, list(first[0].names) if first else []


def _read_parquet(spark: SparkSession, files: list[str]) -> tuple[DataFrame, list[str]]:
    table = spark.read.parquet(*files)
    columns = list(table.schema.fields)
    texts = [
        F.to_json(F.col(f"`{f.name}`"))
        if isinstance(f.dataType, t.ArrayType | t.StructType | t.MapType)
        else F.col(f"`{f.name}`").cast("string")
        for f in columns
    ]
    pairs = [part for field, text in zip(columns, texts, strict=True) for part in (F.lit(field.name), text)]
    none = F.lit(None).cast("string")
    read = table.select(
        F.col("_metadata.file_path").alias("file"),
        (F.col("_metadata.row_index") + 1).alias("line"),
        F.to_json(F.struct(*[F.col(f"`{f.name}`") for f in columns])).alias("raw"),
        none.alias("fault"),
        none.alias("raw_base64"),
        F.create_map(*pairs).alias("fields"),
    )
    return read, [f.name for f in columns]


def _words(text: Column) -> Column:
    """An array of words from a JSON list or from words with spaces, commas or semicolons between; # and @ go."""
    listed = F.from_json(text, "array<string>")
    split = F.split(text, r"[\s,;]+")
    words = F.when(F.trim(text).startswith("["), listed).otherwise(split)
    bare = F.transform(words, lambda word: F.regexp_replace(word, r"^[#@]", ""))
    return F.filter(bare, lambda word: word != "")


def _typed(name: str, text: Column, options: Options) -> Column:
    kind = POSTS.columns[name]
    if name in ("post_id", "user_id"):
        return values.identifier(text)
    if name in ("title", "caption"):
        return values.free_text(text)
    if name in ("hashtags", "mentions"):
        words = _words(values.free_text(text))
        if name == "mentions" and not options.keep_user_names:
            return F.transform(words, lambda word: values.user_name(word, False, options.user_name_salt))
        return words
    if isinstance(kind, t.LongType):
        return values.count(text)
    if isinstance(kind, t.DoubleType):
        return values.number(text)
    if isinstance(kind, t.BooleanType):
        return values.flag(text)
    return values.time(text) if isinstance(kind, t.TimestampType) else values.known(text)


def _posts(rows: DataFrame, mapping: dict[str, Any], options: Options) -> DataFrame:
    def text(name: str) -> Column:
        return F.col("fields")[str(mapping[name])]

    typed = {name: _typed(name, text(name), options) for name in TARGETS if name in mapping and name != "user_name"}
    if "user_name" in mapping:
        typed["user_id"] = values.user_name(text("user_name"), options.keep_user_names, options.user_name_salt)
    checked = [n for n in typed if n not in ("title", "caption", "hashtags", "mentions", "post_id", "user_id")]
    reason = values.first_reason(
        *[(F.col("fault").startswith(f), f) for f in ("bad_container", "wrong_field_count")],
        (typed["post_id"].isNull() | typed["user_id"].isNull(), "missing_id"),
        *[(values.is_bad(text(name), typed[name]), f"bad_{name}") for name in checked],
    )
    typed.setdefault("collected_at", values.time(F.lit(options.collected_at).cast("string")))
    lengths = {"title": "n_title_chars", "caption": "n_caption_chars"}
    for name, length in lengths.items():
        if name in typed:
            typed.setdefault(length, F.char_length(typed[name]).cast("bigint"))
    if "hashtags" in typed:
        typed.setdefault("n_hashtags", F.array_size(typed["hashtags"]).cast("bigint"))
    extra = {str(name): F.col("fields")[str(name)] for name in mapping.get("extra", [])}
    return rows.select(
        "file",
        "line",
        lossless(F.col("raw"), F.col("raw_base64")).alias("raw"),
        reason.alias("reason"),
        *[column.alias(name) for name, column in typed.items()],
        values.extras(**extra, not_utf8_base64=F.col("raw_base64")).alias("extra"),
    )
