"""Flickr: answers of `photos.getInfo`, and of `photos.search` (or any list of photos) with `extras`.

getInfo: `{"photo": {id, owner.nsid, title._content, description._content, dates.posted, views, comments._content,
people.haspeople, tags.tag[], ...}, "stat": "ok"}`. search: `{"photos": {"photo": [{id, owner, title, dateupload, views,
tags, description._content, url_*}, ...]}, "stat": "ok"}`; of a set, `{"photoset": {owner, photo: [...]}}`. Lists
`{"photo": [...]}` and `{"photos": [...]}` are read too. What Flickr lets its users download, `photo_ID.json`: `{id,
name, description, count_views, count_faves, count_comments, date_imported, original, photopage, tags: [{tag}]}`, where
the user is the one in `photopage`, by an id or by a name, which is hashed. Numbers are often strings; JSON lines,
arrays of answers, bare photos and `jsonFlickrApi(...)` are read as well. An answer with `stat` "fail" is a reject
(`api_error`).

Flickr does not tell when an answer was taken, and a label needs that: give `collected_at`.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.ingest import values
from popspark.ingest.exports import Options
from popspark.ingest.readers.files import Files
from popspark.ingest.readers.pages import read_pages, reads, reads_member
from popspark.ingest.readers.records import lossless

__all__ = ["parse", "reads", "reads_member"]

ANSWER = (
    "photo string, photos string, stat string, id string, photoset struct<photo:string,owner:string,ownername:string>"
)
PHOTO = (
    "struct<id:string,owner:string,ownername:string,title:string,description:string,dates:struct<posted:string>,"
    "dateupload:string,views:string,comments:string,people:string,tags:string,media:string,server:string,secret:string,"
    "url_o:string,url_l:string,url_c:string,url_z:string,url_m:string,count_faves:string,count_comments:string,"
    "name:string,count_views:string,date_imported:string,original:string,photopage:string>"
)
CONTENT = "struct<_content:string>"
URLS = ("url_l", "url_c", "url_z", "url_m", "url_o")
"""From the largest size that Flickr serves everyone; the original (url_o) last, since it can be of any size."""


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    return _posts(_photos(read_pages(spark, files, ANSWER)), options)


def _photos(answers: DataFrame) -> DataFrame:
    """One row per photo, and per answer without any: file, line, nth, item, raw, raw_base64, n_replaced, fault."""
    of_search = F.from_json("page.photos", "struct<photo:string>")["photo"]
    bare_list = F.when(F.col("page.photos").startswith("["), F.col("page.photos"))
    found = F.coalesce(of_search, bare_list, "page.photoset.photo", "page.photo")
    listed = F.transform(F.from_json(found, "array<string>"), lambda one: F.coalesce(one, F.lit("null")))
    photos = F.when(found.startswith("["), listed).when(found.isNotNull(), F.array(found)).otherwise(F.array("raw"))
    is_none = F.coalesce(found, "page.id").isNull()
    reason = values.first_reason((F.col("page.stat") == "fail", "api_error"), (is_none, "not_a_photo"))
    fault = F.coalesce("fault", reason)
    return answers.select(
        "file",
        "line",
        "nth",
        "raw_base64",
        "n_replaced",
        fault.alias("fault"),
        F.col("page.photoset").alias("photoset"),
        F.posexplode(F.when(fault.isNotNull(), F.array("raw")).otherwise(photos)).alias("item", "raw"),
    )


def _content(text: Column) -> Column:
    """The text of a value that getInfo wraps as {"_content": ...} and search gives bare."""
    wrapped = F.from_json(text, CONTENT)["_content"]
    return F.when(text.startswith("{"), F.coalesce(wrapped, F.lit(""))).otherwise(text)


def _posts(photos: DataFrame, options: Options) -> DataFrame:
    rows = photos.withColumn("photo", F.from_json("raw", PHOTO))
    photo = F.col("photo")
    owner = F.from_json(photo["owner"], "struct<nsid:string,username:string>")
    is_info = photo["owner"].startswith("{")
    of_page = F.nullif(F.regexp_extract(photo["photopage"], "/photos/([^/]+)/", 1), F.lit(""))
    alias = values.user_name(of_page, options.keep_user_names, options.user_name_salt)
    of_page = F.when(of_page.rlike(r"^\d+@N\d+$"), of_page).otherwise(alias)
    owner_id = F.when(is_info, owner["nsid"]).otherwise(F.coalesce(photo["owner"], "photoset.owner", of_page))
    name = F.when(is_info, owner["username"]).otherwise(F.coalesce(photo["ownername"], "photoset.ownername"))
    title, caption = _content(F.coalesce(photo["title"], photo["name"])), _content(photo["description"])
    tag_list = F.from_json(photo["tags"], "struct<tag:array<struct<raw:string,_content:string>>>")["tag"]
    from_info = F.transform(tag_list, lambda tag: F.coalesce(tag["_content"], tag["raw"]))
    from_search = F.filter(F.split(photo["tags"], r"\s+"), lambda tag: tag != "")
    from_own = F.from_json(photo["tags"], "array<struct<tag:string>>")["tag"]
    hashtags = values.normal_tags(
        F.when(photo["tags"].startswith("{"), from_info)
        .when(photo["tags"].startswith("["), from_own)
        .otherwise(from_search)
    )
    people = F.from_json(photo["people"], "struct<haspeople:string>")["haspeople"]
    posted = F.coalesce(photo["dates"]["posted"], photo["dateupload"], photo["date_imported"])
    comments = F.when(~photo["comments"].startswith("["), _content(photo["comments"]))
    counts = {
        "n_views": F.coalesce(photo["views"], photo["count_views"]),
        "n_likes": photo["count_faves"],
        "n_comments": F.coalesce(comments, photo["count_comments"]),
    }
    photo_page = F.when(
        photo["server"].isNotNull() & photo["secret"].isNotNull(),
        F.concat(
            F.lit("https://live.staticflickr.com/"),
            F.concat_ws("/", photo["server"], F.concat_ws("_", photo["id"], photo["secret"])),
            F.lit(".jpg"),
        ),
    )
    typed = {"posted_at": values.time(posted), **{name: values.count(text) for name, text in counts.items()}}
    reason = F.coalesce(
        "fault",
        values.first_reason(
            *values.id_reasons(photo["id"], owner_id),
            (values.is_bad(posted, typed["posted_at"]), "bad_posted_at"),
            *[(values.is_bad(text, typed[name]), f"bad_{name}") for name, text in counts.items()],
            (values.is_bad(people, values.flag(people)), "bad_haspeople"),
        ),
    )
    encoded = values.bytes_without_names(F.col("raw_base64"), options.keep_user_names)
    return rows.select(
        "file",
        "line",
        "nth",
        "item",
        values.without_names(lossless(F.col("raw"), encoded), options.keep_user_names).alias("raw"),
        reason.alias("reason"),
        values.identifier(photo["id"]).alias("post_id"),
        values.identifier(owner_id).alias("user_id"),
        *[column.alias(name) for name, column in typed.items()],
        values.time_of(options.collected_at).alias("collected_at"),
        title.alias("title"),
        caption.alias("caption"),
        F.char_length(title).cast("bigint").alias("n_title_chars"),
        F.char_length(caption).cast("bigint").alias("n_caption_chars"),
        hashtags.alias("hashtags"),
        F.array_size(hashtags).cast("bigint").alias("n_hashtags"),
        values.flag(people).alias("has_people"),
        F.coalesce(*[photo[size] for size in URLS], photo_page, photo["original"]).alias("image_id"),
        F.lit(1).cast("bigint").alias("n_media"),
        F.lower(values.known(photo["media"])).alias("media_type"),
        values.extras(
            user_name=values.user_name(name, options.keep_user_names, options.user_name_salt),
            not_utf8_base64=encoded,
            n_replaced_chars=F.col("n_replaced"),
        ).alias("extra"),
    )
