"""SMP-T1 (2017): `t1_train_data.txt`, `t1_test_data.txt` and `t1_train_label.txt`, whitespace-separated.

The data files have a header, `pid uid postdate commentcount haspeople titlelen deslen tagcount avgview groupcount
avgmembercount`; where there is one, its names give the columns. The label file has one column `popularityscore`, joined
row by row, or `pid uid popularityscore`, joined by its ids. Where a one-column label file has not as many rows as its
data file, no label can be trusted: the posts stay without, each label is a reject (`labels_do_not_line_up`).

A post's image is `train/<uid>/<pid>.jpg`. Titles, captions and tags are known by their lengths only.
"""

from __future__ import annotations

import re

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import values
from popspark.ingest.exports import Options
from popspark.ingest.readers.files import Files
from popspark.ingest.readers.records import lossless, read_lines
from popspark.ingest.readers.texts import is_archive
from popspark.runtime.errors import PathError

HEADER = (
    *("pid", "uid", "postdate", "commentcount", "haspeople", "titlelen", "deslen", "tagcount"),
    *("avgview", "groupcount", "avgmembercount"),
)
FILE = r"(?<!t2_)(train|test)[^/]*(data|label)[^/]*\.txt(\.gz)?$"


def reads(file: str) -> bool:
    """Whether a file of that path is one of the export."""
    return is_archive(file) or re.search(FILE, file.lower()) is not None


def reads_member(name: str) -> bool:
    """Whether a file of that name in a zip or tar is one of the export."""
    return re.search(FILE, name.lower()) is not None


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    if not files.read:
        raise PathError(
            "These are not the files of SMP-T1.",
            where=files.source,
            got=str(files) or None,
            legal="t1_train_data.txt, t1_test_data.txt, t1_train_label.txt, plain, gzip, or in a zip or tar",
        )
    name = F.lower("file")
    lines = read_lines(spark, files.read).withColumns(
        {
            "split": F.regexp_extract(name, FILE, 1),
            "role": F.when(F.col("fault").isNotNull(), "data").otherwise(F.regexp_extract(name, FILE, 2)),
            "fields": F.split(F.trim(F.regexp_replace("raw", r"\s+", " ")), " "),
        }
    )
    firsts = lines.where("line = 1").select("file", "split", "role", "fields").collect()
    headers = {row.file: row.fields for row in firsts if row.fields[0].lower() in ("pid", "popularityscore")}
    lines = lines.where(~((F.col("line") == 1) & F.col("file").isin(list(headers))))
    lines = lines.withColumn("row", F.col("line") - F.when(F.col("file").isin(list(headers)), 1).otherwise(0))
    posts = _posts(lines.where("role = 'data'"), headers, options)
    labels = lines.where("role = 'label'")
    by_id = [row.split for row in firsts if row.role == "label" and len(row.fields) >= 3]
    return _with_labels(posts, labels, by_id)


def _field(name: str, headers: dict[str, list[str]]) -> Column:
    """The field of that name, by each file's own header; by the published order in files without one."""
    named = [
        F.when(F.col("file") == file, F.get("fields", F.lit([h.lower() for h in header].index(name))))
        for file, header in headers.items()
        if name in [h.lower() for h in header]
    ]
    has_header = F.col("file").isin([f for f, h in headers.items() if len(h) > 1])
    return F.coalesce(*named, F.when(~has_header, F.get("fields", F.lit(HEADER.index(name)))))


def _posts(lines: DataFrame, headers: dict[str, list[str]], options: Options) -> DataFrame:
    text = {name: _field(name, headers) for name in HEADER}
    uid, pid = values.identifier(text["uid"]), values.identifier(text["pid"])
    numbers = {
        "n_comments": values.count(text["commentcount"]),
        "n_title_chars": values.count(text["titlelen"]),
        "n_caption_chars": values.count(text["deslen"]),
        "n_hashtags": values.count(text["tagcount"]),
        "n_user_groups": values.count(text["groupcount"]),
    }
    sources = dict(zip(numbers, ("commentcount", "titlelen", "deslen", "tagcount", "groupcount"), strict=True))
    typed = {
        **numbers,
        "posted_at": values.time(text["postdate"]),
        "has_people": values.flag(text["haspeople"]),
        "user_mean_views": values.number(text["avgview"]),
        "user_mean_group_members": values.number(text["avgmembercount"]),
    }
    sources |= {
        "posted_at": "postdate",
        "has_people": "haspeople",
        "user_mean_views": "avgview",
        "user_mean_group_members": "avgmembercount",
    }
    bad = [(values.is_bad(text[sources[name]], column), f"bad_{sources[name]}") for name, column in typed.items()]
    reason = values.first_reason(
        (F.col("fault").isNotNull(), "unreadable"),
        (F.size("fields") != len(HEADER), "wrong_field_count"),
        (F.col("raw_base64").isNotNull(), "not_utf8"),
        *values.id_reasons(text["pid"], text["uid"]),
        *bad,
    )
    return lines.select(
        "file",
        "line",
        lossless(F.col("raw"), F.col("raw_base64")).alias("raw"),
        "split",
        "row",
        reason.alias("reason"),
        pid.alias("post_id"),
        uid.alias("user_id"),
        *[column.alias(name) for name, column in typed.items()],
        values.time_of(options.collected_at).alias("collected_at"),
        F.concat_ws("/", F.lit("train"), uid, F.concat(pid, F.lit(".jpg"))).alias("image_id"),
        F.lit(1).cast("bigint").alias("n_media"),
        F.lit("photo").alias("media_type"),
        values.extras(part=F.col("split")).alias("extra"),
    )


def _with_labels(posts: DataFrame, labels: DataFrame, by_id: list[str]) -> DataFrame:
    """Posts with `popularity`, and as rejects the labels that no post takes."""
    n_posts = {row.split: row.n for row in posts.groupBy("split").agg(F.max("row").alias("n")).collect()}
    n_labels = {row.split: row.n for row in labels.groupBy("split").agg(F.max("row").alias("n")).collect()}
    loose = [split for split, n in n_labels.items() if split not in by_id and n != n_posts.get(split)]
    score = F.element_at("fields", -1)
    label = labels.select(
        F.col("file").alias("label_file"),
        F.col("line").alias("label_line"),
        F.col("raw").alias("label_raw"),
        F.col("split").alias("label_split"),
        F.when(F.col("split").isin(by_id), values.identifier(F.get("fields", F.lit(0)))).alias("label_pid"),
        F.when(F.col("split").isin(by_id), values.identifier(F.get("fields", F.lit(1)))).alias("label_uid"),
        F.when(~F.col("split").isin(by_id + loose), F.col("row")).alias("label_row"),
        values.number(score).alias("popularity"),
        values.is_bad(score, values.number(score)).alias("is_bad_label"),
    )
    key = F.when(F.col("split").isin(by_id), F.concat_ws("/", "post_id", "user_id")).otherwise(
        F.col("row").cast("string")
    )
    label_key = F.coalesce(
        F.concat(F.col("label_pid"), F.lit("/"), F.col("label_uid")), F.col("label_row").cast("string")
    )
    joined = posts.withColumn("key", key).join(
        label.withColumn("label_key", label_key),
        (F.col("split") == F.col("label_split")) & (F.col("key") == F.col("label_key")),
        "full_outer",
    )
    orphan = F.when(F.col("label_split").isin(loose), "labels_do_not_line_up").otherwise("label_without_post")
    reason = F.when(F.col("file").isNull(), orphan).otherwise(
        F.coalesce("reason", F.when(F.col("is_bad_label"), F.lit("bad_popularityscore")))
    )
    return joined.withColumns(
        {
            "reason": reason,
            "file": F.coalesce("file", "label_file"),
            "line": F.coalesce("line", "label_line"),
            "raw": F.coalesce("raw", "label_raw"),
        }
    ).drop("split", "row", "key", *label.columns[:6], "label_row", "is_bad_label", "label_key")
