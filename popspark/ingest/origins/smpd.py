"""SMPD (2019 on): a folder of JSON tables, whose rows are the same posts in the same order.

| role | 2019 | 2020 |
|---|---|---|
| where and when | `train_temporalspatial_information.json` | `train_temporalspatial.json` |
| category | `train_category.json` | the same |
| text | `train_text.json` | `train_tags.json` |
| user | `train_user_data.json` | `train_userdata.json` |
| additional | `train_additional_information.json` | `train_additional.json` |
| image | `train_img_filepath.txt`, a path a line | `train_img.txt` |
| label | `train_label.txt`, a score a line | the same |

and the same with `test_`. In 2018 one `train_data.txt` (`t2_train_data.txt` in 2017) is all tables but user and image:
fields in quotes with spaces between, a quote in them escaped by a backslash, without a header or with one, of `uid pid
category subcategory concept pathalias ispublic mediastatus title mediatype alltags postdate latitude geoaccuracy
longitude`. Each table is an array of objects with Uid and Pid, or `{"col": {"0": ...}}` by columns; any
may be gzipped. Row i of each belongs together; a row whose Uid or Pid differ between the tables is a reject
(`rows_do_not_line_up`), and so is what one table has beyond the end of the first (`row_without_post`). A label file
with a wrong number of rows cannot be checked against ids, so all its labels are rejected (`labels_do_not_line_up`) and
the posts have none.

One task a split reads its tables side by side as streams: memory stays the same for any number of posts, and nothing
is joined or shuffled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING
from unicodedata import normalize

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import values
from popspark.ingest.exports import Options
from popspark.ingest.origins.smpd_layout import (
    EXTRAS,
    FILE,
    LINE,
    OF_WHOLE,
    ROLES,
    SPINE,
    TABLES,
    WHOLE,
    WHOLE_COLUMNS,
)
from popspark.ingest.readers.files import Files
from popspark.ingest.readers.json import as_text
from popspark.ingest.readers.records import Layout, Record, iter_records, to_batches
from popspark.runtime.errors import PathError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = [f"{role}_{name}" for role, names in TABLES.items() for name in names]
ALIGNED = "split string, file string, line bigint, raw string, raw_base64 string, fault string, " + ", ".join(
    f"{column} string" for column in COLUMNS
)
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


def reads(file: str) -> bool:
    """Whether a file of that path is a table of the export."""
    return re.search(FILE, file.lower()) is not None


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    splits: dict[str, dict[str, str]] = {}
    for file in files.read:
        if found := re.search(FILE, file.lower()):
            role = ROLES.get(found[2], found[2])
            other = splits.setdefault(found[1], {}).setdefault(role, file)
            if other != file:
                raise PathError(
                    "Two files of the export are the same table.",
                    where=files.source,
                    got=f"{other} and {file}",
                    fix="keep one of them",
                )
    if not any({SPINE, WHOLE} & set(files) for files in splits.values()):
        raise PathError(
            "This is not an SMPD export: it has no table of places and times.",
            where=files.source,
            got=str(files) or None,
            legal="train_temporalspatial_information.json (2019), train_temporalspatial.json (2020), a train_data.txt",
            fix="unpack a zip first" if files.source.endswith(".zip") else None,
        )
    return _posts(_align(spark, splits), splits, options)


def _align(spark: SparkSession, splits: Mapping[str, Mapping[str, str]]) -> DataFrame:
    """`ALIGNED` rows of all splits, each read by one task; splits: by name and role, the files."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of the splits that the batches name; on executors."""
        for batch in batches:
            for split in batch.column(0).to_pylist():
                yield from to_batches(iter_aligned(split, splits[split]), ALIGNED)

    tasks = spark.createDataFrame([(split,) for split in splits], "split string").repartition(len(splits), "split")
    return tasks.mapInArrow(read, ALIGNED)


def iter_aligned(split: str, files: Mapping[str, str]) -> Iterator[tuple[str | int | None, ...]]:
    """`ALIGNED` rows of a split, whose files are given by role: its posts, and what belongs to none; on executors.

    A post has the texts of all tables, null where one has ended, and the first fault and bytes among them. A row
    without a post has no texts, and as its fault why that is so.
    """
    spine = WHOLE if WHOLE in files else SPINE

    def iter_table(role: str) -> Iterator[Record]:
        if role == WHOLE:
            return _iter_whole(files[role])
        records = iter_records(files[role], Layout("lines" if TABLES[role] == LINE else "json_rows"))
        return _without_header(records) if (role, spine) == ("label", WHOLE) else records

    def count_rows(role: str) -> int:
        return max((record.line for record in iter_table(role)), default=0)

    n_posts = count_rows(spine) if spine in files and "label" in files else 0
    is_refused = "label" in files and count_rows("label") != n_posts
    refused = {"label": "labels_do_not_line_up"} if is_refused else {}
    tables = {role: iter_table(role) for role in (WHOLE, *TABLES) if role in files}
    heads = {role: record for role, table in tables.items() if (record := next(table, None))}
    while heads:
        line = min(record.line for record in heads.values())
        post = {role: record for role, record in heads.items() if record.line == line}
        for role in post:
            if record := next(tables[role], None):
                heads[role] = record
            else:
                del heads[role]
        is_post = line > 0 and spine in post  # line 0 is a fault that belongs to no row
        for role in [role for role in post if not is_post or role in refused]:
            record = post.pop(role)
            fault = record.fault or refused.get(role, "row_without_post")
            yield split, record.file, line, _text(record), None, fault, *[None] * len(COLUMNS)
        if is_post:
            whole = post.get(WHOLE)
            read = [
                _read_fields(post.get(role) or (whole if role in OF_WHOLE else None), names)
                for role, names in TABLES.items()
            ]
            faults = [fault for _, fault in read if fault]
            raw = "\n".join(map(_text, post.values()))
            encoded = next((record.raw_base64 for record in post.values() if record.raw_base64), None)
            yield (
                split,
                post[spine].file,
                line,
                raw,
                encoded,
                next(iter(faults), None),
                *[text for texts, _ in read for text in texts],
            )


def _iter_whole(file: str) -> Iterator[Record]:
    """The rows of the one table of 2018, counted without empty lines and a header; `raw` as `iter_csv` gives it."""
    rows = iter_records(file, Layout("csv", " ", "\\", WHOLE_COLUMNS))
    rows = (record for record in rows if not (record.line == 1 and _text(record).lower().lstrip('"').startswith("uid")))
    return (record._replace(line=n) if record.line else record for n, record in enumerate(rows, start=1))


def _without_header(labels: Iterator[Record]) -> Iterator[Record]:
    has_header = False
    for record in labels:
        if record.line == 1 and record.raw.strip().lower() == "popularityscore":
            has_header = True
        else:
            yield record._replace(line=record.line - has_header)


def _text(record: Record) -> str:
    """The text for a reject."""
    if record.raw.startswith('{"row": ') and not record.fault:
        return record._replace(raw=json.loads(record.raw)["row"]).lossless()
    return record.lossless()


def _read_fields(record: Record | None, names: Sequence[str]) -> tuple[list[str | None], str | None]:
    """The values of a table's row as text, None for absent ones and numbers as they are written; and its fault."""
    nothing: list[str | None] = [None] * len(names)
    if record is None or record.fault:
        return nothing, record.fault if record else None
    if names == LINE:
        return [record.raw], None
    found = _DECODER.decode(record.raw)
    if not isinstance(found, dict):
        return nothing, "not_json"
    if record.raw.startswith('{"row": '):
        found = found["values"]
    values = {name.lower(): value for name, value in found.items()}
    texts = [as_text(values.get(name.lower())) for name in names]
    if "Alltags" in names and (tags := texts[names.index("Alltags")]):
        texts[names.index("Alltags")] = normalize("NFC", tags)
    return texts, None


def _posts(rows: DataFrame, splits: Mapping[str, Mapping[str, str]], options: Options) -> DataFrame:
    def has(role: str) -> Column:
        return F.col("split").isin([split for split, files in splits.items() if role in files])

    def same(role: str, name: str, spine: Column) -> Column:
        """As it stands, which is quickly seen, or else as an identifier."""
        text = F.col(f"{role}_{name}")
        return text.eqNullSafe(F.col(f"{SPINE}_{name}")) | values.identifier(text).eqNullSafe(spine)

    def differs(role: str) -> Column:
        return has(role) & ~(same(role, "Uid", uid) & same(role, "Pid", pid))

    ids_of_row = F.col(f"{SPINE}_Uid"), F.col(f"{SPINE}_Pid")
    uid, pid = map(values.identifier, ids_of_row)
    posted_at, photo_count = values.time(F.col(f"{SPINE}_Postdate")), values.count(F.col("user_photo_count"))
    label, path = values.number(F.col("label_line")), values.known(F.col("img_line"))
    ids = F.concat_ws("/", uid, pid)
    ids_in_path = F.when(path.endswith(F.concat(F.lit("/"), ids, F.lit(".jpg"))), ids).otherwise(
        F.regexp_extract(path, r"([^/]+/[^/.]+)\.\w+$", 1)
    )
    differ = [differs(role) for role, names in TABLES.items() if "Uid" in names and role != SPINE]
    differ.append(F.coalesce((ids_in_path != "") & (ids_in_path != ids), F.lit(False)))
    reason = F.coalesce(
        "fault",
        values.first_reason(
            *values.id_reasons(*ids_of_row),
            (reduce(Column.__or__, differ), "rows_do_not_line_up"),
            (values.is_bad(F.col(f"{SPINE}_Postdate"), posted_at), "bad_Postdate"),
            (values.is_bad(F.col("user_photo_count"), photo_count), "bad_photo_count"),
            (values.is_bad(F.col("label_line"), label), "bad_label"),
        ),
    )
    title = values.free_text(F.coalesce("text_Title", "text_Tile"))  # the files of 2019 say Tile
    hashtags = F.array_distinct(values.words(values.free_text(F.col("text_Alltags"))))
    extras = {name: values.known(F.col(column)) for name, column in EXTRAS.items()}
    alias = F.col("additional_Pathalias")
    user_name = values.user_name(alias, options.keep_user_names, options.user_name_salt)
    encoded = values.bytes_without_names(F.col("raw_base64"), options.keep_user_names, alias)
    return rows.select(
        "file",
        "line",
        (F.col("raw") if options.keep_user_names else _without_names(user_name, has(WHOLE))).alias("raw"),
        reason.alias("reason"),
        pid.alias("post_id"),
        uid.alias("user_id"),
        posted_at.alias("posted_at"),
        values.time_of(options.collected_at).alias("collected_at"),
        title.alias("title"),
        hashtags.alias("hashtags"),
        F.char_length(title).cast("bigint").alias("n_title_chars"),
        F.array_size(hashtags).cast("bigint").alias("n_hashtags"),
        photo_count.alias("n_user_posts"),
        F.when(has("img"), path)
        .otherwise(F.concat_ws("/", "split", uid, F.concat(pid, F.lit(".jpg"))))
        .alias("image_id"),
        F.lit(1).cast("bigint").alias("n_media"),
        F.lower(values.known(F.col("text_Mediatype"))).alias("media_type"),
        label.alias("popularity"),
        values.extras(**extras, user_name=user_name, not_utf8_base64=encoded).alias("extra"),
    )


def _without_names(user_name: Column, is_whole: Column) -> Column:
    """The text for a reject: a row of 2018 that has no fields may name its user anywhere, and so may bytes."""
    raw = values.without_names(F.regexp_replace("raw", r"\nbase64:[\w+/=]+", ""), keep=False)
    alias = values.known(F.col("additional_Pathalias"))
    hidden = F.when(is_whole & alias.isNotNull(), F.replace(raw, alias, user_name)).otherwise(raw)
    is_unread = (
        is_whole & F.col("fault").isNotNull() & ~F.col("fault").isin("row_without_post", "labels_do_not_line_up")
    )
    return F.when(is_unread & (raw != ""), values.fingerprint(raw)).otherwise(hidden)
