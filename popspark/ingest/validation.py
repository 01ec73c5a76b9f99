"""An export before it is ingested: what it holds, what it lacks, what is odd, and which rows cannot be posts.

`popspark.ingest.validation_page` puts it on a page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t
from pyspark.sql.window import Window

from popspark.ingest.accounting import OF_LABELS, find_repeated, naming_broken_files, reject_repeated
from popspark.storage.tables import POSTS

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.99, 1.0)
COUNTS = tuple(n for n, kind in POSTS.columns.items() if isinstance(kind, t.LongType | t.DoubleType))
NOT_FIELDS = ("post_id", "user_id", "origin", "is_simulated", "extra")
N_SHOWN = 5
N_CONTEXT = 12
"""Characters shown on either side of the first that was no text."""


@dataclass(frozen=True)
class Rejection:
    """Rows rejected for one reason: their number, and the positions of the first few, as file and line."""

    reason: str
    n: int
    positions: list[tuple[str, int]]


@dataclass(frozen=True)
class Undecodable:
    """Rows of a file with U+FFFD in place of what was no text: their number, the first line, and what stands there."""

    file: str
    n: int
    line: int
    sample: str


@dataclass(frozen=True)
class Findings:
    """n_rows: all but those of labels. The rest but `rejections` is of the rows that can be posts.

    n_known: by column. odd: what is suspicious, in words, and of how many posts. quantiles: by count, at `QUANTILES`,
    None where the count is not known at all. labels: posts by rule and status. missing_images: of
    `n_known["image_id"]`, how many files are not there, None where nobody looked; the first few and why.
    """

    files: list[tuple[str, bool]]
    n_rows: int
    n_posts: int
    n_users: int
    first_posted_at: datetime | None
    last_posted_at: datetime | None
    n_known: dict[str, int]
    quantiles: dict[str, list[float]]
    rejections: list[Rejection]
    undecodable: list[Undecodable]
    odd: dict[str, int]
    labels: dict[str, dict[str, int]]
    n_images_missing: int | None
    missing_images: list[tuple[str, str]]


@naming_broken_files()
def inspect_rows(
    rows: DataFrame,
    files: Sequence[tuple[str, bool]],
    count_labels: Callable[[DataFrame], dict[str, dict[str, int]]],
    look_up: Callable[[DataFrame], DataFrame] | None,
) -> Findings:
    """Findings of parsed rows, after `popspark.ingest.accounting.complete`; they are parsed once.

    files: of the source, and whether the origin reads them. count_labels: posts by label rule and status. look_up: rows
    of image_id to (image_id, error), error null where the file is there.
    """
    kept = _without_texts(rows).localCheckpoint()
    repeated = find_repeated(kept.where("reason IS NULL")).localCheckpoint()
    if not repeated.isEmpty():
        kept = reject_repeated(kept, repeated).localCheckpoint()
    posts = kept.where("reason IS NULL")
    known = {name: F.count(name).alias(f"known_{name}") for name in POSTS.columns if name not in NOT_FIELDS}
    suspicions = _suspicions()
    odd = [F.count_if(F.coalesce(is_odd, F.lit(False))).alias(f"odd_{name}") for name, is_odd in suspicions.items()]
    of_posts = posts.agg(
        F.count(F.lit(1)).alias("n"),
        F.min("posted_at").alias("first"),
        F.max("posted_at").alias("last"),
        *known.values(),
        *odd,
    ).collect()[0]
    n_known = {name: of_posts[f"known_{name}"] for name in known}
    spread = [F.percentile_approx(name, list(QUANTILES)).alias(name) for name in COUNTS if n_known[name]]
    quantiles = posts.agg(*spread).collect()[0].asDict() if spread else {}
    rejections = _rejections(kept.where("reason IS NOT NULL"))
    n_images_missing, missing_images = None, list[tuple[str, str]]()
    if look_up is not None:
        missing = look_up(posts.select("image_id")).where("error IS NOT NULL").localCheckpoint()
        n_images_missing = missing.count()
        shown = missing.orderBy("image_id").limit(N_SHOWN).collect()
        missing_images = [(row["image_id"], row["error"]) for row in shown]
    return Findings(
        files=list(files),
        n_rows=of_posts["n"] + sum(one.n for one in rejections if one.reason not in OF_LABELS),
        n_posts=of_posts["n"],
        n_users=posts.select("user_id").distinct().count(),  # beside the quantiles it would cost their buffers a user
        first_posted_at=of_posts["first"],
        last_posted_at=of_posts["last"],
        n_known=n_known,
        quantiles=quantiles,
        rejections=rejections,
        undecodable=_undecodable(posts),
        odd={name: n for name in suspicions if (n := of_posts[f"odd_{name}"])} | _repeated_times(posts),
        labels=count_labels(posts),
        n_images_missing=n_images_missing,
        missing_images=missing_images,
    )


def _without_texts(rows: DataFrame) -> DataFrame:
    """The rows with an empty value for each text or list that is there, but for ids, images and undecodable bytes."""
    found = {"raw": F.lit(None).cast("string")}
    for name, kind in POSTS.columns.items():
        if isinstance(kind, t.StringType) and name not in ("post_id", "user_id", "image_id", "origin"):
            found[name] = F.when(F.col(name).isNotNull(), F.lit(""))
        elif isinstance(kind, t.ArrayType):
            found[name] = F.when(F.col(name).isNotNull(), F.array().cast("array<string>"))
    told = F.map_filter("extra", lambda key, _: key.isin("earlier_post_ids", "not_utf8_base64", "n_replaced_chars"))
    return rows.withColumns({**found, "extra": told})


def _suspicions() -> dict[str, Column]:
    """By what it is called, a condition of a post."""
    posted, collected = F.col("posted_at"), F.col("collected_at")
    return {
        "posted in the future": posted > F.current_timestamp(),
        "collected before posted": collected < posted,
        "collected in the future": collected > F.current_timestamp(),
        "posted at midnight UTC to the second": F.unix_micros(posted) % 86_400_000_000 == 0,
        "more likes than views": F.col("n_likes") > F.col("n_views"),
        "no views, but likes, shares or comments": (F.col("n_views") == 0)
        & (F.coalesce("n_likes", F.lit(0)) + F.coalesce("n_shares", F.lit(0)) + F.coalesce("n_comments", F.lit(0)) > 0),
        "a count over 10,000,000,000": F.greatest(*[F.col(name) for name in COUNTS if name.startswith("n_")]) > 10**10,
    }


def _repeated_times(posts: DataFrame) -> dict[str, int]:
    """The moment at which more than a tenth of the posts, and at least five, went up: a stand-in for an unknown one."""
    at = posts.where("posted_at IS NOT NULL").groupBy("posted_at").agg(F.count(F.lit(1)).alias("n"))
    found = at.agg(F.sum("n").alias("total"), F.max(F.struct("n", "posted_at")).alias("most")).collect()[0]
    if found["most"] is None or found["most"]["n"] < max(5, found["total"] / 10):
        return {}
    return {f"posted at one moment, {found['most']['posted_at']} UTC": found["most"]["n"]}


def _rejections(rejected: DataFrame) -> list[Rejection]:
    """The reasons, the most frequent first."""
    nth = F.row_number().over(Window.partitionBy("reason").orderBy("file", "line"))
    n = F.count(F.lit(1)).over(Window.partitionBy("reason"))
    numbered = rejected.select("reason", "file", "line", nth.alias("nth"), n.alias("n"))
    found: dict[str, Rejection] = {}
    for row in numbered.where(F.col("nth") <= N_SHOWN).orderBy("reason", "nth").collect():
        one = found.setdefault(row["reason"], Rejection(row["reason"], row["n"], []))
        one.positions.append((row["file"], row["line"]))
    return sorted(found.values(), key=lambda one: (-one.n, one.reason))


def _undecodable(posts: DataFrame) -> list[Undecodable]:
    """By file, the posts with text that could not be decoded."""
    encoded = F.col("extra")["not_utf8_base64"]
    is_odd = F.coalesce(encoded, F.col("extra")["n_replaced_chars"]).isNotNull()
    first = F.min(F.struct("line", encoded.alias("encoded"))).alias("first")
    found = posts.where(is_odd).groupBy("file").agg(F.count(F.lit(1)).alias("n"), first).orderBy("file").limit(N_SHOWN)
    return [
        Undecodable(row["file"], row["n"], row["first"]["line"], _sample(row["first"]["encoded"]))
        for row in found.collect()
    ]


def _sample(encoded: str | None) -> str:
    """What stands around the first byte that is not UTF-8, read as cp1252, or nothing."""
    raw = base64.b64decode(encoded or "")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        near = raw[max(error.start - N_CONTEXT, 0) : error.start + N_CONTEXT]
        return " ".join(near.decode("cp1252", "replace").split())
    return ""
