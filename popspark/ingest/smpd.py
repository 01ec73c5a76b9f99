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

A table that is one line of text is still read by many tasks: see `_separator`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.errors import PathError
from popspark.ingest import Options, values
from popspark.ingest.records import list_files, lossless, read_lines, read_streams
from popspark.ingest.streams import Layout, is_container

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


def parse(spark: SparkSession, source: str, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest`."""
    roles: dict[str, list[str]] = {}
    for file in list_files(spark, source):
        found = re.search(FILE, file)
        if found:
            roles.setdefault(ROLES.get(found[2], found[2]), []).append(file)
    if SPINE not in roles:
        raise PathError(
            "This is not an SMPD export: it has no table of places and times.",
            where=source,
            legal="train_temporalspatial_information.json (2019) or train_temporalspatial.json (2020)",
            fix="unpack a zip first" if source.endswith(".zip") else None,
        )
    tables = {role: _read_table(spark, roles[role], role) for role in FIELDS if role in roles}
    tables |= {role: _read_list(spark, roles[role], role) for role in LISTS if role in roles}
    return _line_up(tables, options)


def _separator(spark: SparkSession, file: str) -> str | None:
    """The bytes between two objects of the array, `}, {"Uid"` with the file's own spaces; None if there are none.

    Spark splits text by any separator, in parallel. This one cannot stand inside a string: there its quotes would be
    escaped, and where a quote ends a string, a comma, colon or bracket follows, never the name of a key.
    """
    head = [row.value for row in spark.read.option("lineSep", "}").text(file).take(2)]
    is_array = len(head) == 2 and re.match(r'\s*\[\s*\{\s*"', head[0].lstrip("\ufeff"))
    gap = re.match(r'\s*,\s*\{\s*"[^"\\]+"', head[1]) if is_array else None
    return "}" + gap[0] if gap else None


@dataclass(frozen=True)
class _Table:
    """rows: part, place, a struct named by the role (file, raw, raw_base64, fault) and `<role>_<field>` as text.

    n_rows: by part, the place of the last row. is_streamed: whether a row may have the place 0: what has none.
    """

    rows: DataFrame
    n_rows: dict[str, int]
    is_streamed: bool = False


def _read_table(spark: SparkSession, files: list[str], role: str) -> _Table:
    parts, n_rows, is_streamed = [], dict[str, int](), False
    for file in files:
        separator = None if is_container(file) else _separator(spark, file)
        if separator:
            records = read_lines(spark, [file], separator)
            objects = _close(records.rows, separator, sum(records.n_lines.values()))
        else:
            records = read_streams(spark, [file], Layout("json_rows"))
            objects, is_streamed = _join_cells(records.rows), True
        parts.append(_parse_objects(objects, role))
        n_rows[_part(file)] = sum(records.n_lines.values())
    return _Table(reduce(DataFrame.unionByName, parts), n_rows, is_streamed)


def _part(file: str) -> str:
    found = re.search(FILE, file)
    return found[1] if found else ""


def _close(rows: DataFrame, separator: str, n_rows: int) -> DataFrame:
    """Gives each object of the array back what the separator took; the last must end the array."""
    is_first, is_last = F.col("line") == 1, F.col("line") == n_rows
    opened = F.when(is_first, F.regexp_replace("raw", r"^\ufeff?\s*\[\s*", "")).otherwise(
        F.concat(F.lit(separator[separator.index("{") :]), F.col("raw"))
    )
    closed = F.when(is_last, F.regexp_replace(opened, r"\s*\]\s*$", "")).otherwise(F.concat(opened, F.lit("}")))
    is_cut = is_last & ~F.col("raw").rlike(r"\}\s*\]\s*$")
    return rows.withColumns({"raw": closed, "fault": F.when(is_cut, F.lit("truncated_json"))})


def _join_cells(rows: DataFrame) -> DataFrame:
    """One object per place, from the cells of a table by columns; an object that came whole stays as it is."""
    cells = F.transform(F.collect_list("raw"), lambda cell: cell.substr(F.lit(2), F.length(cell) - 2))
    whole = F.when(F.count("*") == 1, F.max("raw")).otherwise(
        F.concat(F.lit("{"), F.array_join(cells, ", "), F.lit("}"))
    )
    return rows.groupBy("file", "line").agg(
        whole.alias("raw"), F.max("raw_base64").alias("raw_base64"), F.max("fault").alias("fault")
    )


def _parse_objects(rows: DataFrame, role: str) -> DataFrame:
    """Names are matched without regard to case: photo_count and Photo_count are not one year's."""
    head = rows.where("fault IS NULL").select(F.json_object_keys("raw").alias("keys")).take(1)
    spelling = {key.lower(): key for key in (head[0]["keys"] or [])} if head else {}
    names = {name: spelling.get(name.lower(), name) for name in FIELDS[role]}
    schema = ", ".join(f"`{name}` string" for name in [*names.values(), "_corrupt"])
    parsed = rows.withColumn(
        "object", F.from_json("raw", schema, {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt"})
    )
    fault = F.coalesce("fault", F.when(F.col("object._corrupt").isNotNull(), F.lit("not_json")))
    return parsed.select(
        F.regexp_extract("file", FILE, 1).alias("part"),
        F.col("line").alias("place"),
        F.struct("file", "raw", "raw_base64", fault.alias("fault")).alias(role),
        *[F.col(f"object.`{spelled}`").alias(f"{role}_{name}") for name, spelled in names.items()],
    )


def _read_list(spark: SparkSession, files: list[str], role: str) -> _Table:
    """The same of a file with one value a line; an empty line is a row without a value."""
    rows = read_lines(spark, files).rows.select(
        F.regexp_extract("file", FILE, 1).alias("part"),
        F.col("line").alias("place"),
        F.struct("file", "raw", "raw_base64", "fault").alias(role),
        F.trim("raw").alias(f"{role}_value"),
    )
    return _Table(rows, {r.part: r.n for r in rows.groupBy("part").agg(F.max("place").alias("n")).collect()})


def _line_up(tables: dict[str, _Table], options: Options) -> DataFrame:
    """Joins row i of every table and parses it; what no row takes comes after, as rejects."""
    spine = tables[SPINE]
    loose = (
        {part for part, n in tables["label"].n_rows.items() if n != spine.n_rows.get(part)}
        if "label" in tables
        else set()
    )
    joined, left_over = spine.rows, []
    for role, table in tables.items():
        if role == SPINE:
            continue
        rows = table.rows
        if role == "label" and loose:
            refused = F.col("part").isin(list(loose))
            left_over.append(_refuse(rows.where(refused), role, "labels_do_not_line_up"))
            rows = rows.where(~refused)
        beyond = [
            (F.col("part") == part) & (F.col("place") > spine.n_rows.get(part, 0))
            for part, n in table.n_rows.items()
            if n > spine.n_rows.get(part, 0) and not (role == "label" and part in loose)
        ]
        unplaced = reduce(Column.__or__, beyond, F.col("place") == 0)
        if beyond or table.is_streamed:
            left_over.append(_refuse(rows.where(unplaced), role, "row_without_post"))
        # Rows are spread evenly over the places, so a partition's hash table is never larger than its share.
        joined = joined.join(rows.hint("shuffle_hash"), ["part", "place"], "left")
    posts = _posts(joined, tables, options)
    return reduce(lambda rows, more: rows.unionByName(more, allowMissingColumns=True), [posts, *left_over])


def _refuse(rows: DataFrame, role: str, reason: str) -> DataFrame:
    return rows.select(
        F.col(f"{role}.file").alias("file"),
        F.col("place").alias("line"),
        lossless(F.col(f"{role}.raw"), F.col(f"{role}.raw_base64")).alias("raw"),
        F.coalesce(F.col(f"{role}.fault"), F.lit(reason)).alias("reason"),
    )


def _posts(rows: DataFrame, tables: dict[str, _Table], options: Options) -> DataFrame:
    def text(role: str, name: str) -> Column:
        return F.col(f"{role}_{name}") if role in tables else F.lit(None).cast("string")

    def raw(role: str) -> Column:
        return lossless(F.col(f"{role}.raw"), F.col(f"{role}.raw_base64"))

    uid, pid = values.identifier(text(SPINE, "Uid")), values.identifier(text(SPINE, "Pid"))
    posted_at, photo_count = values.time(text(SPINE, "Postdate")), values.count(text("user", "photo_count"))
    label = values.number(text("label", "value"))
    path = values.given(text("img", "value"))
    ids_in_path = F.regexp_extract(path, r"([^/]+/[^/.]+)\.\w+$", 1)
    others = [role for role in FIELDS if role in tables and role != SPINE]
    differ = [
        F.col(role).isNull()
        | ~values.identifier(text(role, "Uid")).eqNullSafe(uid)
        | ~values.identifier(text(role, "Pid")).eqNullSafe(pid)
        for role in others
    ]
    differ.append(F.coalesce((ids_in_path != "") & (ids_in_path != F.concat_ws("/", uid, pid)), F.lit(False)))
    reason = F.coalesce(
        *[F.col(f"{role}.fault") for role in [SPINE, *others]],
        values.first_reason(
            (uid.isNull() | pid.isNull(), "missing_id"),
            (reduce(Column.__or__, differ), "rows_do_not_line_up"),
            (values.is_bad(text(SPINE, "Postdate"), posted_at), "bad_Postdate"),
            (values.is_bad(text("user", "photo_count"), photo_count), "bad_photo_count"),
            (values.is_bad(text("label", "value"), label), "bad_label"),
        ),
    )
    tags = values.prose(text("text", "Alltags"))
    title = values.prose(F.coalesce(text("text", "Title"), text("text", "Tile")))  # the files of 2019 say Tile
    hashtags = F.filter(F.split(tags, r"\s+"), lambda tag: tag != "")
    return rows.select(
        F.col(f"{SPINE}.file").alias("file"),
        F.col("place").alias("line"),
        F.concat_ws("\n", *[raw(role) for role in tables]).alias("raw"),
        reason.alias("reason"),
        pid.alias("post_id"),
        uid.alias("user_id"),
        posted_at.alias("posted_at"),
        values.time(F.lit(options.collected_at).cast("string")).alias("collected_at"),
        title.alias("title"),
        hashtags.alias("hashtags"),
        F.char_length(title).cast("bigint").alias("n_title_chars"),
        F.array_size(hashtags).cast("bigint").alias("n_hashtags"),
        photo_count.alias("n_user_posts"),
        (path if "img" in tables else F.concat_ws("/", "part", uid, F.concat(pid, F.lit(".jpg")))).alias("image_id"),
        F.lit(1).cast("bigint").alias("n_media"),
        F.lower(values.given(text("text", "Mediatype"))).alias("media_type"),
        label.alias("popularity"),
        values.extras(
            part=F.col("part"),
            category=values.given(text("category", "Category")),
            subcategory=values.given(text("category", "Subcategory")),
            concept=values.given(text("category", "Concept")),
            latitude=values.given(text(SPINE, "Latitude")),
            longitude=values.given(text(SPINE, "Longitude")),
            geo_accuracy=values.given(text(SPINE, "Geoaccuracy")),
            is_pro=values.given(text("user", "ispro")),
            timezone_id=values.given(text("user", "timezone_id")),
            first_photo_at=values.given(text("user", "photo_firstdate")),
            is_public=values.given(text("additional", "Ispublic")),
            media_status=values.given(text("additional", "Mediastatus")),
            user_name=values.user_name(
                text("additional", "Pathalias"), options.keep_user_names, options.user_name_salt
            ),
            not_utf8_base64=F.coalesce(*[F.col(f"{role}.raw_base64") for role in [SPINE, *others]]),
        ).alias("extra"),
    )
