"""Simulated posts over real images: counts from stated effects plus noise, the truth kept beside them.

The model. Each post has four effects, each of mean 0 and deviation 1 over the posts: its user, its hashtags, the time
it went up and its image. With a standard normal noise, their weighted sum over the root of the summed squares of the
weights is a score; the score's quantile in the normal distribution is that of the post's popularity,
log2(views / days) + 1, among the popularities seen on Flickr (see `calibration`). Views follow from it, and likes,
shares and comments from the views.

Every value is a hash of (seed, what it is for, whose it is), never `rand()`, whose values depend on the partitions:
the same settings give the same posts on any number of machines.

`extra` holds the truth: `expected_popularity` (the mean over the noise, which no model can beat), each effect before
its weight, and the noise.
"""

from __future__ import annotations

import math
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from popspark.runtime.errors import ConfigError
from popspark.simulation import simulated_text as text
from popspark.simulation.calibration import GRID, expected_popularity_of, look_up, popularity_of
from popspark.simulation.hashing import normal, power_law_cdf, power_law_rank, uniform
from popspark.simulation.settings import BURST_DAYS, Simulation
from popspark.storage.tables import POSTS
from popspark.storage.warehouse import validate

DAY_S = 86_400
POSTS_IN_A_BURST = 4
ROWS_PER_PARTITION = 50_000
MISSING_IMAGE = "no_such_photograph.jpg"
IMAGE_DRAW = "picture"  # hashed into every image that was ever drawn: another word would draw others

# Popularity by quarter of the day, weekday (Monday first) and month, before standardising: evenings, weekends and
# early summer do well.
QUARTER_EFFECTS = (-1.3, -0.2, 0.4, 1.1)
WEEKDAY_EFFECTS = (-0.5, -0.4, -0.3, -0.2, 0.2, 0.5, 0.7)
MONTH_EFFECTS = (-0.6, -0.5, -0.1, 0.3, 0.7, 0.8, 0.5, 0.2, 0.1, -0.2, -0.5, -0.7)


def _standardised(values: tuple[float, ...]) -> Column:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    return F.array(*[F.lit((v - mean) / spread) for v in values])


def _moments(spark: SparkSession, seed: int, purpose: str, n: int, skew: float) -> tuple[float, float]:
    """Mean and deviation of the effects of `n` users or hashtags, each weighted by how often it occurs.

    Sums are decimal, so that they do not depend on the order of addition.
    """
    share = power_law_cdf(F.col("id") + 1, n, skew) - power_law_cdf(F.col("id"), n, skew)
    effect = normal(seed, purpose, F.col("id"))
    exact = "decimal(38,18)"
    row = (
        spark.range(n)
        .agg(
            F.sum((share * effect).cast(exact)).cast("double").alias("mean"),
            F.sum((share * effect * effect).cast(exact)).cast("double").alias("square"),
        )
        .first()
    )
    assert row is not None
    return row["mean"], math.sqrt(max(row["square"] - row["mean"] ** 2, 0.0))


def _in_units(effect: Column, mean: float, spread: float) -> Column:
    return (effect - mean) / spread if spread > 1e-9 else F.lit(0.0)  # a single user or hashtag explains nothing


def _posting_time(s: Simulation) -> Column:
    """Seconds since 1970: bursts of a user's posts, each burst within `BURST_DAYS`, bursts anywhere in the span."""
    burst = F.floor(F.col("position") / POSTS_IN_A_BURST)
    start = uniform(s.seed, "burst", F.col("user_number"), burst) * ((s.n_days - BURST_DAYS) * DAY_S)
    within = uniform(s.seed, "moment", F.col("id")) * (BURST_DAYS * DAY_S)
    return F.floor(start + within).cast("long") + _epoch_s(s.starts_on)


def _epoch_s(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_S


def _time_effect(posted_s: Column) -> Column:
    """By UTC; by arithmetic, so that the session's time zone does not matter."""
    day = F.floor(posted_s / DAY_S).cast("int")
    quarter = F.floor(F.pmod(posted_s, F.lit(DAY_S)) / (DAY_S // 4)).cast("int")
    weekday = F.pmod(day + 3, F.lit(7))  # 1970-01-01 was a Thursday
    month = F.month(F.date_add(F.lit(date(1970, 1, 1)), day)) - 1
    effects = ((QUARTER_EFFECTS, quarter), (WEEKDAY_EFFECTS, weekday), (MONTH_EFFECTS, month))
    total = F.lit(0.0)
    for values, index in effects:
        total = total + F.get(_standardised(values), index)
    return total / math.sqrt(len(effects))


def _hashtags_effect(spark: SparkSession, s: Simulation) -> Column:
    """Sum of the standardised effects of the post's hashtags over the root of their number; 0 for none."""
    mean, spread = _moments(spark, s.seed, "hashtag effect", s.n_hashtags, s.hashtag_skew)
    tags = F.col("tag_numbers")

    def add(total: Column, tag: Column) -> Column:
        return total + _in_units(normal(s.seed, "hashtag effect", tag), mean, spread)

    return F.coalesce(F.try_divide(F.aggregate(tags, F.lit(0.0), add), F.sqrt(F.size(tags).cast("double"))), F.lit(0.0))


def _slots(spark: SparkSession, s: Simulation) -> DataFrame:
    """id (0..n_posts-1), user_number (0 posts most), position (0.. among the user's posts)."""
    n_partitions = max(1, s.n_posts // ROWS_PER_PARTITION)
    user = power_law_rank((F.col("id") + 0.5) / s.n_posts, s.n_users, s.user_skew)
    first = F.ceil(power_law_cdf(F.col("user_number"), s.n_users, s.user_skew) * s.n_posts - 0.5)
    ids = spark.range(0, s.n_posts, 1, n_partitions)
    return ids.withColumn("user_number", user).withColumn("position", F.col("id") - first)


def _with_images(slots: DataFrame, s: Simulation, images: DataFrame | None) -> DataFrame:
    """Adds image_id and image_effect (0 without an image)."""
    has_none = uniform(s.seed, "no image", F.col("id")) < s.share_without_image
    if images is None:
        path = F.concat(F.col("user_id"), F.lit("/"), F.col("post_id"), F.lit(".jpg"))
        rows = slots.withColumns({"image_id": path, "image_effect": normal(s.seed, IMAGE_DRAW, F.col("id"))})
    else:
        n_images = images.count()
        if n_images == 0:
            raise ConfigError(
                "There is no usable image to write posts about.", got="0 images of status ok", where="images"
            )
        number = F.floor(uniform(s.seed, IMAGE_DRAW, F.col("id")) * n_images).cast("long")
        rows = slots.withColumn("image_number", number).join(F.broadcast(images), "image_number")
    is_missing = F.col("id") < s.n_with_missing_image
    shown = F.when(is_missing, MISSING_IMAGE).when(~has_none, F.col("image_id"))
    seen = F.when(~is_missing & ~has_none, F.col("image_effect")).otherwise(0.0)
    return rows.withColumns({"image_id": shown, "image_effect": seen})


def _with_counts(rows: DataFrame, s: Simulation) -> DataFrame:
    """Adds signal and noise of the score, the popularity expected, and the counts."""
    w = s.weights
    signal = (
        w.user * F.col("user_effect")
        + w.hashtags * F.col("hashtags_effect")
        + w.time * F.col("time_effect")
        + w.image * F.col("image_effect")
    ) / w.norm
    rows = rows.withColumn("signal", signal).withColumn("noise", normal(s.seed, "noise", F.col("id")))
    popularity = look_up(popularity_of(GRID), F.col("signal") + w.noise / w.norm * F.col("noise"))
    expected = look_up(expected_popularity_of(GRID, w.noise / w.norm), F.col("signal"))
    days = (F.col("collected_s") - F.col("posted_s")) / DAY_S
    views = F.round(F.pow(F.lit(2.0), popularity - 1) * days)
    rows = rows.withColumns({"expected_popularity": expected, "n_views": views.cast("long")})

    def share_of(count: str, share: float, spread: float, purpose: str) -> Column:
        return F.round(F.col(count) * share * F.exp(spread * normal(s.seed, purpose, F.col("id")))).cast("long")

    rows = rows.withColumn("n_likes", F.least("n_views", share_of("n_views", 0.02, 0.3, "likes")))
    return rows.withColumns(
        {
            "n_shares": share_of("n_likes", 0.2, 0.4, "shares"),
            "n_comments": share_of("n_likes", 0.1, 0.4, "comments"),
        }
    )


def simulate_posts(spark: SparkSession, simulation: Simulation, images: DataFrame | None) -> DataFrame:
    """A posts table. images: as `image_effects.measure_images` gives them, worth persisting since they are read twice;
    None for an image of its own per post, `<user_id>/<post_id>.jpg`, that does not exist.

    Raises `ConfigError` where all weights are 0 or no image can be used.
    """
    s = simulation
    if s.weights.norm == 0:
        raise ConfigError(
            "All weights are 0.", where="simulation.weights", fix="give at least one, noise=1 for pure noise"
        )
    mean, spread = _moments(spark, s.seed, "user effect", s.n_users, s.user_skew)
    rows = _slots(spark, s).withColumns(
        {
            "post_id": F.format_string("s%08d", "id"),
            "user_id": F.format_string("u%06d", "user_number"),
            "posted_s": _posting_time(s),
            "collected_s": F.lit(_epoch_s(s.starts_on) + s.n_days * DAY_S),
            "tag_numbers": text.hashtag_numbers(s.seed, s.n_hashtags, s.hashtag_skew),
            "user_effect": _in_units(normal(s.seed, "user effect", F.col("user_number")), mean, spread),
        }
    )
    rows = rows.withColumn("time_effect", _time_effect(F.col("posted_s")))
    rows = rows.withColumn("hashtags_effect", _hashtags_effect(spark, s))
    rows = _with_counts(_with_images(rows, s, images), s)
    users = rows.groupBy("user_number").agg(
        F.avg("n_views").alias("user_mean_views"), F.count("*").alias("n_user_posts")
    )
    return validate(_posts(rows.join(F.broadcast(users), "user_number"), s), POSTS, "simulated posts")


def _posts(rows: DataFrame, s: Simulation) -> DataFrame:
    """The columns of the posts table."""
    post, user = F.col("id"), F.col("user_number")
    truth = ("expected_popularity", "user_effect", "hashtags_effect", "time_effect", "image_effect", "noise")
    pieces = [piece for name in truth for piece in (F.lit(name), F.format_string("%.6f", name))]
    n_groups = F.floor(F.exp(2.5 + 0.5 * F.col("user_effect") + normal(s.seed, "groups", user)))
    rows = rows.withColumns(
        {
            "posted_at": F.timestamp_seconds("posted_s"),
            "collected_at": F.timestamp_seconds("collected_s"),
            "title": text.title(s.seed),
            "caption": text.caption(s.seed),
            "hashtags": text.hashtags(s.seed, F.col("tag_numbers")),
            "mentions": text.mentions(s.seed, s.n_users, s.user_skew),
        }
    )
    return rows.withColumns(
        {
            "n_title_chars": F.length("title").cast("long"),
            "n_caption_chars": F.coalesce(F.length("caption"), F.lit(0)).cast("long"),
            "n_hashtags": F.size("hashtags").cast("long"),
            "has_people": uniform(s.seed, "people", post) < 0.3,
            "n_user_groups": n_groups.cast("long"),
            "user_mean_group_members": F.round(F.exp(7 + normal(s.seed, "members", user)), 2),
            "n_media": F.when(F.col("image_id").isNull(), 0).otherwise(1).cast("long"),
            "media_type": F.when(F.col("image_id").isNotNull(), "photo"),
            "popularity": F.lit(None).cast("double"),
            "origin": F.lit("simulated"),
            "is_simulated": F.lit(True),
            "extra": F.create_map(*pieces),
        }
    )
