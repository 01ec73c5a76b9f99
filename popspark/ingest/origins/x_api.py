"""X API v2: pages `{data, includes, errors, meta}`, as JSON, as JSON lines (twarc), or flattened to a tweet a line.

`data` is an array, one object, or absent. An attached photo is found in `includes.media` by its `media_key`; only
photos have a `url`, and the first one is the image. `__twarc.retrieved_at` is the time of collection. `errors` blocks
name tweets that the API would not give: each is a reject (`api_error`). A retweet carries the original's counts, so
it is none of the author's posts: a reject (`retweet`). A long tweet has its whole text, and the tags of it, in
`note_tweet`. Of an edited tweet the last version is the post; the earlier ones are rejects (`edited`).

Names: the author's user name goes into `extra` hashed, and mentions are hashed as in every origin, unless they are kept
on purpose; `rejects.raw` has none. The text of a tweet stays as it is, with the names in it.
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

METRICS = "struct<like_count:string,retweet_count:string,reply_count:string,quote_count:string,impression_count:string>"
USER = "struct<id:string,username:string,public_metrics:struct<tweet_count:string,followers_count:string>>"
MEDIA = "struct<media_key:string,type:string,url:string>"
TWARC = "struct<retrieved_at:string>"
INCLUDES = f"struct<users:array<{USER}>,media:array<{MEDIA}>>"
ENTITIES = "struct<hashtags:array<struct<tag:string>>,mentions:array<struct<id:string,username:string>>>"
TWEET = (
    "struct<id:string,author_id:string,text:string,created_at:string,lang:string,"
    f"public_metrics:{METRICS},"
    "attachments:struct<media_keys:array<string>,media:string>,"
    f"entities:{ENTITIES},note_tweet:struct<text:string,entities:{ENTITIES}>,edit_history_tweet_ids:array<string>,"
    "referenced_tweets:array<struct<type:string,id:string>>,"
    f"author:{USER},__twarc:{TWARC}>"
)
PAGE = f"data string, errors array<string>, meta string, id string, includes {INCLUDES}, __twarc {TWARC}"
STRINGS, MEDIA_LIST = "array<string>", f"array<{MEDIA}>"


def parse(spark: SparkSession, files: Files, options: Options) -> DataFrame:
    """Parsed rows, see `popspark.ingest.exports`."""
    return _posts(_items(read_pages(spark, files, PAGE)), options)


def _items(pages: DataFrame) -> DataFrame:
    """One row per tweet, and per error, of each page: file, line, nth, item, raw, includes, retrieved_at, fault.

    A flattened tweet is a page of itself. A page with neither data nor errors (an empty result) gives no row.
    """
    data = F.col("page.data")
    many = F.from_json(data, STRINGS)
    tweets = (
        F.when(F.ltrim(data).startswith("["), many)
        .when(data.isNotNull(), F.array(data))
        .when(F.col("page.id").isNotNull(), F.array("raw"))
    )
    is_broken = F.col("fault").isNotNull()
    is_other = F.coalesce("page.data", "page.meta", "page.id", F.to_json("page.errors")).isNull()
    failed = F.when(is_broken | is_other, F.array("raw"))
    fault = F.coalesce("fault", F.lit("not_a_tweet_or_page"))

    def tagged(texts: Column, reason: Column) -> Column:
        found = F.coalesce(texts, F.array().cast(STRINGS))
        return F.transform(found, lambda text: F.struct(text.alias("raw"), reason.alias("fault")))

    entries = F.concat(
        tagged(tweets, F.lit(None).cast("string")),
        tagged(F.col("page.errors"), F.lit("api_error")),
        tagged(failed, fault),
    )
    return pages.select(
        "file",
        "line",
        "nth",
        "raw_base64",
        "n_replaced",
        F.col("page.includes").alias("includes"),
        F.col("page.__twarc.retrieved_at").alias("retrieved_at"),
        F.posexplode(F.when(is_broken, tagged(failed, fault)).otherwise(entries)).alias("item", "entry"),
    ).select("*", F.col("entry.raw").alias("raw"), F.col("entry.fault").alias("fault"))


def _posts(items: DataFrame, options: Options) -> DataFrame:
    rows = items.withColumn("tweet", F.from_json("raw", TWEET))
    tweet, metrics = F.col("tweet"), F.col("tweet.public_metrics")
    # In a page the media are in includes, found by key; a flattened tweet has them in place of its keys.
    keys = F.coalesce(tweet["attachments"]["media_keys"], F.array().cast(STRINGS))
    by_key = F.transform(
        keys, lambda key: F.get(F.filter("includes.media", lambda media: media["media_key"] == key), F.lit(0))
    )
    media = F.coalesce(F.from_json(tweet["attachments"]["media"], MEDIA_LIST), by_key)
    known = F.filter(media, lambda one: one.isNotNull())
    photos = F.filter(known, lambda one: one["url"].isNotNull() & (one["type"] == "photo"))
    author = F.coalesce(
        tweet["author"],
        F.get(F.filter("includes.users", lambda user: user["id"] == tweet["author_id"]), F.lit(0)),
    )
    is_retweet = F.exists("tweet.referenced_tweets", lambda one: one["type"] == "retweeted")
    posted_at = values.time(tweet["created_at"])
    retrieved = F.coalesce("retrieved_at", tweet["__twarc"]["retrieved_at"], F.lit(options.collected_at).cast("string"))
    counts = {
        "n_likes": metrics["like_count"],
        "n_shares": metrics["retweet_count"],
        "n_comments": metrics["reply_count"],
        "n_views": metrics["impression_count"],
        "n_user_posts": author["public_metrics"]["tweet_count"],
    }
    author_id = F.coalesce(tweet["author_id"], author["id"])
    text = F.coalesce(tweet["note_tweet"]["text"], tweet["text"])
    entities = F.when(tweet["note_tweet"]["text"].isNotNull(), tweet["note_tweet"]["entities"]).otherwise(
        tweet["entities"]
    )
    hashtags = values.normal_tags(F.transform(entities["hashtags"], lambda tag: tag["tag"]))
    mentions = F.transform(
        entities["mentions"],
        lambda one: values.user_name(one["username"], options.keep_user_names, options.user_name_salt),
    )
    history = tweet["edit_history_tweet_ids"]
    earlier = F.slice(history, 1, F.greatest(F.array_position(history, tweet["id"]).cast("int") - 1, F.lit(0)))
    # Entities are absent from a tweet that has none, and from every tweet where the field was not asked for; the text
    # tells which: without a # in it there are no hashtags.
    no_tags = F.when(~text.contains("#"), F.array().cast(STRINGS))
    no_mentions = F.when(~text.contains("@"), F.array().cast(STRINGS))
    reason = F.coalesce(
        "fault",
        values.first_reason(
            *values.id_reasons(tweet["id"], author_id),
            (F.coalesce(is_retweet, F.lit(False)), "retweet"),
            (values.is_bad(tweet["created_at"], posted_at), "bad_created_at"),
            *[(values.is_bad(text, values.count(text)), f"bad_{name}") for name, text in counts.items()],
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
        values.identifier(tweet["id"]).alias("post_id"),
        values.identifier(author_id).alias("user_id"),
        posted_at.alias("posted_at"),
        values.time(retrieved).alias("collected_at"),
        text.alias("caption"),
        F.char_length(text).cast("bigint").alias("n_caption_chars"),
        F.coalesce(hashtags, no_tags).alias("hashtags"),
        F.array_size(F.coalesce(hashtags, no_tags)).cast("bigint").alias("n_hashtags"),
        F.coalesce(mentions, no_mentions).alias("mentions"),
        *[values.count(text).alias(name) for name, text in counts.items()],
        F.get(photos, F.lit(0))["url"].alias("image_id"),
        F.greatest(F.array_size(keys), F.array_size(known)).cast("bigint").alias("n_media"),
        F.get(known, F.lit(0))["type"].alias("media_type"),
        values.extras(
            lang=tweet["lang"],
            n_quotes=values.count(metrics["quote_count"]),
            user_name=values.user_name(author["username"], options.keep_user_names, options.user_name_salt),
            n_followers=values.count(author["public_metrics"]["followers_count"]),
            earlier_post_ids=F.when(F.size(earlier) > 0, F.concat_ws(" ", earlier)),
            not_utf8_base64=encoded,
            n_replaced_chars=F.col("n_replaced"),
        ).alias("extra"),
    )
