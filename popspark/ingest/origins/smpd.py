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

and the same with `test_`. Each table is an array of objects with Uid and Pid, or `{"col": {"0": ...}}` by columns.
Row i of each belongs together; a row whose Uid or Pid differ between the tables is a reject (`rows_do_not_line_up`),
and so is what one table has beyond the end of the others (`row_without_post`). A label file with a wrong number of
rows cannot be checked against ids, so all its labels are refused (`labels_do_not_line_up`) and the posts have none.

Plain arrays and lists are read side by side, by many tasks each (`popspark.ingest.readers.side_by_side`);
containers and tables
by columns are streamed, and joined to the others (`popspark.ingest.readers.streamed_tables`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, cast

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import Options, Parsed, values
from popspark.ingest.readers.chunks import LooseRows, Part, Wanted
from popspark.ingest.readers.records import size_files
from popspark.ingest.readers.row_files import RowFile
from popspark.ingest.readers.side_by_side import (
    Chunk,
    cut,
    index_files,
    raw_text,
    read_chunks,
    read_loose,
    side_by_side,
    write_plain_posts,
)
from popspark.ingest.readers.streamed_tables import StreamedTable, leave_over, stream_array, stream_list
from popspark.ingest.readers.streams import is_container
from popspark.runtime.errors import PathError

FILE = r"(train|test)_[^/]*(category|text|tags|temporalspatial|user|additional|img|label)[^/]*\.(?:json|txt)(?:\.gz)?$"
ROLES = {"tags": "text"}
SPINE = "temporalspatial"
LISTS = ("img", "label")
FIELDS = {
    "temporalspatial": ("Uid", "Pid", "Postdate", "Latitude", "Longitude", "Geoaccuracy"),
    "category": ("Uid", "Pid", "Category", "Subcategory", "Concept"),
    "text": ("Uid", "Pid", "Title", "Tile", "Alltags", "Mediatype"),
    "user": ("Uid", "Pid", "photo_count", "ispro", "timezone_id", "photo_firstdate"),
    "additional": ("Uid", "Pid", "Pathalias", "Ispublic", "Mediastatus"),
}
"""What is read of each table; names are matched without regard to case, as they differ between the years."""

VALUES = {
    "temporalspatial_Uid": "identifier",
    "temporalspatial_Pid": "identifier",
    "temporalspatial_Postdate": "time",
    "user_photo_count": "count",
    "label_line": "number",
    "text_Alltags": "words",
    "text_Mediatype": "given",
    "img_line": "given",
}
"""What texts become values, by the functions of `popspark.ingest.values`."""

EXTRAS = {
    "category": "category_Category",
    "subcategory": "category_Subcategory",
    "concept": "category_Concept",
    "latitude": "temporalspatial_Latitude",
    "longitude": "temporalspatial_Longitude",
    "geo_accuracy": "temporalspatial_Geoaccuracy",
    "is_pro": "user_ispro",
    "timezone_id": "user_timezone_id",
    "first_photo_at": "user_photo_firstdate",
    "is_public": "additional_Ispublic",
    "media_status": "additional_Mediastatus",
    "user_name": "additional_Pathalias",
}
"""What `extra` holds, by its name there, besides the part and bytes that are not UTF-8."""


def parse(spark: SparkSession, source: str, options: Options) -> Parsed:
    """See `popspark.ingest`."""
    sizes = size_files(spark, source)
    roles: dict[str, list[str]] = {}
    for file in sorted(sizes):
        if found := re.search(FILE, file):
            roles.setdefault(ROLES.get(found[2], found[2]), []).append(file)
    if SPINE not in roles:
        raise PathError(
            "This is not an SMPD export: it has no table of places and times.",
            where=source,
            legal="train_temporalspatial_information.json (2019) or train_temporalspatial.json (2020)",
            fix="unpack a zip first" if source.endswith(".zip") else None,
        )
    plain = {role: {f: sizes[f] for f in files if not is_container(f)} for role, files in roles.items()}
    arrays = {f: n for role in FIELDS for f, n in plain.get(role, {}).items()}
    lists = {f: n for role in LISTS for f, n in plain.get(role, {}).items()}
    index = index_files(spark, arrays, lists)
    indexed: dict[str, dict[str, RowFile]] = {}
    streamed: dict[str, StreamedTable] = {}
    for role in (role for role in (*FIELDS, *LISTS) if role in roles):
        files = roles[role]
        by_part = {_part(file): index[file] for file in files if file in index}
        if len(by_part) == len(files):
            indexed[role] = by_part
        elif role in FIELDS:
            streamed[role] = stream_array(spark, files, role, FIELDS[role], FILE)
        else:
            streamed[role] = stream_list(spark, files, role, FILE)
    return _line_up(spark, indexed, streamed, options)


def _part(file: str) -> str:
    found = re.search(FILE, file)
    return found[1] if found else ""


def _line_up(
    spark: SparkSession,
    indexed: dict[str, dict[str, RowFile]],
    streamed: dict[str, StreamedTable],
    options: Options,
) -> Parsed:
    """Row i of every table, parsed; what no row takes comes after, as rejects.

    indexed: by role and part. Where all tables are, plain rows can be written without Spark.
    """
    n_rows = {role: {part: file.n_rows for part, file in files.items()} for role, files in indexed.items()}
    n_rows |= {role: {_part(file): n for file, n in table.n_rows.items()} for role, table in streamed.items()}
    n_posts = n_rows[SPINE]
    refused = {part for part, n in n_rows.get("label", {}).items() if n != n_posts.get(part)}
    rejects = []
    for role, table in streamed.items():
        if role != SPINE:
            is_refused = F.col("part").isin(list(refused)) if role == "label" else F.lit(False)
            rejects.append(leave_over(table, is_refused, n_rows[role], n_posts))
    loose = [
        LooseRows(file, role in FIELDS, 0, file.n_rows, "labels_do_not_line_up")
        if role == "label" and part in refused
        else LooseRows(file, role in FIELDS, n_posts.get(part, 0), file.n_rows, "row_without_post")
        for role, files in indexed.items()
        for part, file in files.items()
    ]
    if loose := [one for one in loose if one.first < one.last]:
        rejects.append(read_loose(spark, loose))
    parts, wanted = _align(indexed, n_posts, refused, options)
    spine_files = {part: file.path for part, file in indexed.get(SPINE, {}).items()}

    def to_rows(chunks: Sequence[Chunk]) -> DataFrame:
        aligned = read_chunks(spark, chunks, wanted).withColumn("raw", raw_text(parts)) if indexed else None
        rows = _posts(_join_streamed(aligned, streamed, spine_files, refused), options)
        return reduce(lambda found, more: found.unionByName(more, allowMissingColumns=True), [rows, *rejects])

    def write_plain(folder: str, known: Mapping[str, Any]) -> tuple[list[str], int, DataFrame | None]:
        known = {"n_media": 1, **known}
        if options.collected_at is not None:
            known["collected_at"] = spark.range(1).select(F.unix_micros(_collected_at(options))).collect()[0][0]
        plain = write_plain_posts(spark, cut(parts), wanted, known, folder)
        return plain.files, plain.n_posts, to_rows(plain.left) if plain.left or rejects else None

    return Parsed(lambda: to_rows(cut(parts)), None if streamed else write_plain)


def _join_streamed(
    aligned: DataFrame | None, streamed: dict[str, StreamedTable], spine_files: dict[str, str], refused: set[str]
) -> DataFrame:
    """Rows that were read side by side, and what is streamed beside them. spine_files: by part."""
    others = [
        table.beside().where(~F.col("part").isin(list(refused))) if role == "label" else table.beside()
        for role, table in streamed.items()
        if role != SPINE
    ]
    if SPINE in streamed:
        rows, others = streamed[SPINE].beside(), [*([aligned] if aligned is not None else []), *others]
    else:
        files = [F.when(F.col("part") == part, F.lit(path)) for part, path in spine_files.items()]
        rows = cast(DataFrame, aligned).withColumn(f"{SPINE}_file", F.coalesce(*files))
    for other in others:
        # Rows are spread evenly over the places, so a partition's hash table is never larger than its share.
        rows = rows.join(other.hint("shuffle_hash"), ["part", "place"], "left")
    return rows


def _align(
    indexed: dict[str, dict[str, RowFile]], n_posts: dict[str, int], refused: set[str], options: Options
) -> tuple[list[Part], Wanted]:
    """The tables that are read by row numbers, by part, and what of them. refused: the parts whose labels are."""
    parts = []
    for part, n in n_posts.items():
        tables = {role: files[part] for role, files in indexed.items() if part in files}
        if part in refused:
            tables.pop("label", None)
        arrays, lists = ({role: tables[role] for role in roles if role in tables} for roles in (FIELDS, LISTS))
        parts.append(side_by_side(part, arrays, lists, n))
    wanted = Wanted(
        fields={role: FIELDS[role] for role in FIELDS if role in indexed},
        lists=tuple(role for role in LISTS if any(role in part.lists for part in parts)),
        spine=SPINE,
        values=VALUES,
        extras=EXTRAS | {"not_utf8_base64": "base64"} | ({"part": "part"} if SPINE in indexed else {}),
        hashed="user_name",
        salt=None if options.keep_user_names else options.user_name_salt,
    )
    return parts, wanted


def _posts(rows: DataFrame, options: Options) -> DataFrame:
    known = set(rows.columns)

    def text(role: str, name: str) -> Column:
        return F.col(f"{role}_{name}") if f"{role}_{name}" in known else F.lit(None).cast("string")

    def value(role: str, name: str, convert: Callable[[Column], Column]) -> Column:
        column = f"{role}_{name}"
        if f"{column}_value" not in known:
            return convert(text(role, name))
        plain = F.col(f"{column}_value")
        return F.coalesce(plain, convert(F.col(column))) if column in known else plain

    def differs(role: str) -> Column:
        same_uid = values.identifier(text(role, "Uid")).eqNullSafe(uid)
        return ~(same_uid & values.identifier(text(role, "Pid")).eqNullSafe(pid))

    uid, pid = value(SPINE, "Uid", values.identifier), value(SPINE, "Pid", values.identifier)
    posted_at, photo_count = value(SPINE, "Postdate", values.time), value("user", "photo_count", values.count)
    label = value("label", "line", values.number)
    path = value("img", "line", values.given)
    ids = F.concat_ws("/", uid, pid)
    ids_in_path = F.when(path.endswith(F.concat(F.lit("/"), ids, F.lit(".jpg"))), ids).otherwise(
        F.regexp_extract(path, r"([^/]+/[^/.]+)\.\w+$", 1)
    )
    differ = [differs(role) for role in FIELDS if role != SPINE and f"{role}_Uid" in known]
    if "has_same_ids" in known:
        differ.append(F.coalesce(~F.col("has_same_ids"), F.lit(False)))
    differ.append(F.coalesce((ids_in_path != "") & (ids_in_path != ids), F.lit(False)))
    reason = F.coalesce(
        *[F.col(name) for name in (f"{SPINE}_fault", "fault", *(f"{role}_fault" for role in FIELDS)) if name in known],
        values.first_reason(
            (uid.isNull() | pid.isNull(), "missing_id"),
            (reduce(Column.__or__, differ), "rows_do_not_line_up"),
            (values.is_bad(text(SPINE, "Postdate"), posted_at), "bad_Postdate"),
            (values.is_bad(text("user", "photo_count"), photo_count), "bad_photo_count"),
            (values.is_bad(text("label", "line"), label), "bad_label"),
        ),
    )
    title = values.prose(F.coalesce(text("text", "Title"), text("text", "Tile")))  # the files of 2019 say Tile
    hashtags = value("text", "Alltags", lambda tags: values.words(values.prose(tags)))
    return rows.select(
        F.col(f"{SPINE}_file").alias("file"),
        F.col("place").alias("line"),
        F.concat_ws(
            "\n", *[name for name in ("raw", *(f"{role}_raw" for role in (*FIELDS, *LISTS))) if name in known]
        ).alias("raw"),
        reason.alias("reason"),
        pid.alias("post_id"),
        uid.alias("user_id"),
        posted_at.alias("posted_at"),
        _collected_at(options).alias("collected_at"),
        title.alias("title"),
        hashtags.alias("hashtags"),
        F.char_length(title).cast("bigint").alias("n_title_chars"),
        F.array_size(hashtags).cast("bigint").alias("n_hashtags"),
        photo_count.alias("n_user_posts"),
        (
            path
            if known & {"img_line", "img_line_value"}
            else F.concat_ws("/", "part", uid, F.concat(pid, F.lit(".jpg")))
        ).alias("image_id"),
        F.lit(1).cast("bigint").alias("n_media"),
        F.lower(value("text", "Mediatype", values.given)).alias("media_type"),
        label.alias("popularity"),
        _extra(known, options).alias("extra"),
    )


def _collected_at(options: Options) -> Column:
    return values.time(F.lit(options.collected_at).cast("string"))


def _extra(known: set[str], options: Options) -> Column:
    """What came with the rows that were read side by side, and what the streamed tables add to it."""
    added = {name: values.given(F.col(column)) for name, column in EXTRAS.items() if column in known}
    if "user_name" in added:
        name = F.col(EXTRAS["user_name"])
        added["user_name"] = values.user_name(name, options.keep_user_names, options.user_name_salt)
    if f"{SPINE}_raw" in known:
        added["part"] = F.col("part")
    encoded = [F.col(f"{role}_base64") for role in FIELDS if f"{role}_base64" in known]
    if not encoded:
        return F.col("extra")
    if "extra" not in known:
        return values.extras(**added, not_utf8_base64=F.coalesce(*encoded))
    is_first = F.col("extra")["not_utf8_base64"].isNull()
    found = values.extras(**added, not_utf8_base64=F.when(is_first, F.coalesce(*encoded)))
    return F.when(F.col("extra").isNull(), found).otherwise(F.map_concat("extra", found))
