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
    labels: {source: labels.csv, post_id: id, label: score}   # popularity, in a file of its own

A count is a whole number from 0: any other text rejects the row (`bad_n_likes`), and so does an id that went through a
float (`rounded_id`).

CSV: the first line of each file names the columns, or `columns: [id, text]` in the mapping; a first line `sep=;` sets
the delimiter, a byte order mark the encoding. Each file is streamed by one task (a quoted field may hold newlines, so
that no task can start in the middle), several files are read in parallel. Settings in the mapping: `delimiter: ";"`,
`encoding: cp1252`, `escape: "\\"`. A file of another ending than .csv, .tsv and .gz that has none of the columns is
left out, and that is logged. Parquet is read in parallel within a file too; files may differ in the types of columns.
Where a folder has both, csv leaves files of .parquet out, parquet all others, and that is logged too.

Labels: `source` is a path beside the mapping or from where the job runs. The file is read as the export is, unless
`labels` has its own `delimiter`, `encoding`, `escape` or `columns`; .parquet as Parquet. Its rows are counted apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from textwrap import shorten

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from popspark.ingest import values
from popspark.ingest.exports import ORIGINS, Options
from popspark.ingest.labels import with_labels
from popspark.ingest.mapping import ColumnMapping, Field
from popspark.ingest.readers.files import Files, list_files
from popspark.ingest.readers.records import lossless
from popspark.ingest.tags import split_tags
from popspark.runtime.errors import ConfigError, PathError, SchemaError, closest
from popspark.storage.tables import POSTS

TABLES = re.compile(r"\.(csv|tsv)(\.gz)?$|\.parquet$")
DELIMITERS = ",;\t|"


def parse_tables(
    spark: SparkSession,
    files: Files,
    options: Options,
    read: Callable[[SparkSession, list[str], ColumnMapping], DataFrame],
) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`, of the files, which `read` reads.

    read: gives (file, line, nth, raw, fault, raw_base64, fields: map of column to text). Raises `ConfigError` without
    a mapping, `SchemaError` where a file does not have its columns, or one of them twice.
    """
    mapping = options.mapping
    if mapping is None:
        raise ConfigError("The origins csv and parquet need a column mapping.", where="mapping", got="None")
    of_labels = mapping.labels and list_files(spark, mapping.labels_source)
    if not files.read:
        others = [file for file in files.left_out if TABLES.search(file.lower())]
        raise PathError(
            "There is no table of this origin here.",
            where=files.source,
            got=f"{others[0]}, which another origin reads" if others else str(files) or None,
            legal="csv: .csv, .tsv, .txt, gzip, a zip or tar; parquet: .parquet",
        )
    posts = _posts(read(spark, files.read, mapping), mapping, options)
    if not mapping.labels or not of_labels:
        return posts
    kind = "parquet" if of_labels[0].lower().endswith(".parquet") else "csv"
    labels: DataFrame = import_module(ORIGINS[kind]).read_tables(spark, of_labels, mapping.labels)
    return with_labels(posts, labels, mapping.labels, is_raw_kept=options.keep_user_names or not _names(mapping))


def check_columns(file: str, columns: Sequence[str], line: str, mapping: ColumnMapping) -> None:
    """Raises `SchemaError` unless each column of the mapping is there once."""
    absent = [name for name in mapping.wanted if name not in columns]
    if absent:
        split = {sign: [name.strip('" ') for name in line.split(sign)] for sign in DELIMITERS}
        other = [sign for sign, names in split.items() if set(mapping.wanted) <= set(names)]
        if "\0" in line:
            fix = f"encoding: {name_wide_encoding(line)}"
        elif other:
            fix = f"delimiter: {other[0]!r}".replace("'", '"')
        else:
            same = next((name for name in columns if name.casefold() == absent[0].casefold()), None)
            fix = f"Did you mean {same!r}?" if same else closest(absent[0], columns)
        if not fix and len(absent) == len(mapping.wanted):
            fix = "a file without a header needs columns: [...] in the mapping"
        raise SchemaError(
            "The export does not have columns that the mapping names.",
            where=file,
            got=", ".join(absent),
            legal=shorten(", ".join(columns).replace("\0", ""), 1000),
            fix=fix or None,
        )
    twice = [name for name in mapping.wanted if list(columns).count(name) > 1]
    if twice:
        raise SchemaError(
            "Two columns of the export have one name.", where=file, got=", ".join(twice), fix="rename one"
        )


def name_wide_encoding(line: str) -> str:
    """The encoding without a byte order mark of a line that was read as UTF-8 and has NULs in it."""
    width = "32" if "\0\0\0" in line else "16"
    return f"utf-{width}-{'be' if line.startswith(chr(0)) else 'le'}"


def _tags(text: Column) -> Column:
    def split(found: str | None) -> list[str] | None:
        """The tags of one post; on executors."""
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


def _names(mapping: ColumnMapping) -> list[str]:
    """The fields that name users."""
    return [name for name in ("user_name", "mentions") if name in mapping.fields]


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
    hidden = [] if options.keep_user_names else _names(mapping)
    names, columns = [text(name) for name in hidden], [fields[name].column or "" for name in hidden]
    kept = {name: F.col("fields")[name] for name in mapping.extra}
    for name in set(columns) & set(kept):
        kept[name] = values.user_name(kept[name], options.keep_user_names, options.user_name_salt)
    encoded = values.bytes_without_names(F.col("raw_base64"), options.keep_user_names or not names, *names)
    return rows.select(
        "file",
        "line",
        "nth",
        _without_names(columns, names).alias("raw"),
        reason.alias("reason"),
        *[column.alias(name) for name, column in typed.items()],
        values.extras(**kept, not_utf8_base64=encoded).alias("extra"),
    )


def _without_names(columns: list[str], names: list[Column]) -> Column:
    """The text for a reject: where fields name users, all fields as JSON, those as ... and none named in another one.

    Where such a row has no fields, its hash and length.
    """
    raw = lossless(F.col("raw"), F.col("raw_base64"))
    if not names:
        return F.when(F.col("fault").contains(":"), F.concat_ws(" ", "fault", raw)).otherwise(raw)
    words = values.words_of_names(*names)
    hidden = F.transform_values(
        "fields",
        lambda name, text: F.when(name.isin(columns) & text.isNotNull(), F.lit("...")).otherwise(
            values.without_words(text, words)
        ),
    )
    return (
        F.when(F.col("fault").isNull(), values.without_names(F.to_json(hidden), keep=False))
        .when(F.col("fault").contains(":"), F.col("fault"))
        .otherwise(values.fingerprint(raw))
    )
