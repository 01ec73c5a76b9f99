"""An export before it is ingested, on a page: what it holds, what it lacks, and which of its rows cannot be posts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t
from pyspark.sql.window import Window

from popspark.storage.tables import POSTS

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.99, 1.0)
COUNTS = tuple(n for n, kind in POSTS.columns.items() if isinstance(kind, t.LongType | t.DoubleType))
LABEL_INPUTS = {
    "flickr_views": ("n_views", "posted_at", "collected_at"),
    "twitter": ("n_shares", "n_likes"),
    **{f"count of {name}": (name,) for name in ("n_views", "n_likes", "n_shares", "n_comments")},
    "given": ("popularity",),
}
"""What each label rule must know of a post."""
NOT_FIELDS = ("post_id", "user_id", "origin", "is_simulated", "extra")


@dataclass(frozen=True)
class Rejection:
    """Rows rejected for one reason: their number, and the positions of the first few, as file and line."""

    reason: str
    n: int
    positions: list[tuple[str, int]]


@dataclass(frozen=True)
class Findings:
    """n_rows: all. The rest but `rejections` is of the rows that can be posts.

    n_known: by column. n_undecodable: texts with U+FFFD in place of what was no text. n_early: collected before posted.
    quantiles: by count, at `QUANTILES`, None where the count is not known at all.
    n_images_found: of `n_known["image_id"]`, how many files are there; None where nobody looked.
    """

    files: list[tuple[str, bool]]
    n_rows: int
    n_posts: int
    n_users: int
    first_posted_at: datetime | None
    last_posted_at: datetime | None
    n_known: dict[str, int]
    quantiles: dict[str, list[float] | None]
    rejections: list[Rejection]
    n_images_found: int | None
    n_undecodable: int
    n_early: int

    def __str__(self) -> str:
        return "\n".join(_page(self))


def inspect_rows(
    rows: DataFrame,
    files: Sequence[tuple[str, bool]],
    find_images: Callable[[DataFrame], DataFrame] | None,
    n_positions: int = 5,
) -> Findings:
    """Findings of parsed rows, after `popspark.ingest.accounting.complete` and `reject_repeated`.

    files: of the source, and whether the origin reads them. find_images: rows of image_id to those that are there.
    """
    kept = rows.drop("raw").persist()
    posts = kept.where("reason IS NULL")
    known = {name: F.count(name).alias(f"known_{name}") for name in POSTS.columns if name not in NOT_FIELDS}
    spread = {name: F.percentile_approx(name, list(QUANTILES)).alias(f"spread_{name}") for name in COUNTS}
    of_posts = posts.agg(
        F.count(F.lit(1)).alias("n"),
        F.count_distinct("user_id").alias("n_users"),
        F.min("posted_at").alias("first"),
        F.max("posted_at").alias("last"),
        F.count(F.coalesce(F.col("extra")["not_utf8_base64"], F.col("extra")["n_replaced_chars"])).alias("undecodable"),
        F.count_if(F.col("collected_at") < F.col("posted_at")).alias("early"),
        *known.values(),
        *spread.values(),
    ).collect()[0]
    rejected = kept.where("reason IS NOT NULL")
    first = F.row_number().over(Window.partitionBy("reason").orderBy("file", "line"))
    positions = (
        rejected.select("reason", "file", "line", first.alias("nth")).where(F.col("nth") <= n_positions).collect()
    )
    by_reason = {row["reason"]: row["count"] for row in rejected.groupBy("reason").count().collect()}
    rejections = [
        Rejection(reason, n, sorted((p["file"], p["line"]) for p in positions if p["reason"] == reason))
        for reason, n in by_reason.items()
    ]
    n_images = None
    if find_images is not None:
        n_images = find_images(posts.select("image_id")).count()
    kept.unpersist()
    return Findings(
        files=list(files),
        n_rows=of_posts["n"] + sum(rejection.n for rejection in rejections),
        n_posts=of_posts["n"],
        n_users=of_posts["n_users"],
        first_posted_at=of_posts["first"],
        last_posted_at=of_posts["last"],
        n_known={name: of_posts[f"known_{name}"] for name in known},
        quantiles={name: of_posts[f"spread_{name}"] for name in COUNTS},
        rejections=sorted(rejections, key=lambda one: (-one.n, one.reason)),
        n_images_found=n_images,
        n_undecodable=of_posts["undecodable"],
        n_early=of_posts["early"],
    )


def _share(n: int, of: int) -> str:
    return f"{n:>12,}  {n / of:>6.1%}" if of else f"{n:>12,}       -"


def _cells(values: Sequence[Any]) -> str:
    return "".join(f"{value:>12,.6g}" for value in values)


def _page(found: Findings) -> list[str]:
    lines = ["Files"]
    lines += [f"  {'read' if is_read else 'left out':<9} {name}" for name, is_read in found.files]
    n_rejected = found.n_rows - found.n_posts
    lines += [
        "",
        "Rows",
        f"  {'in the export':<28}{found.n_rows:>12,}",
        f"  {'can be posts':<28}{_share(found.n_posts, found.n_rows)}",
        f"  {'refused':<28}{_share(n_rejected, found.n_rows)}",
        f"  {'users':<28}{found.n_users:>12,}",
        f"  {'with undecodable text':<28}{_share(found.n_undecodable, found.n_posts)}",
        f"  {'collected before posted':<28}{_share(found.n_early, found.n_posts)}",
        f"  posted from {found.first_posted_at or 'unknown'} to {found.last_posted_at or 'unknown'} (UTC)",
    ]
    if found.rejections:
        lines += ["", "Refused rows, with the first places (file:line)"]
    for rejection in found.rejections:
        positions = ", ".join(f"{file.rsplit('/', 1)[-1]}:{line}" for file, line in rejection.positions)
        more = ", ..." if rejection.n > len(rejection.positions) else ""
        lines.append(f"  {rejection.reason:<28}{_share(rejection.n, found.n_rows)}  {positions}{more}")
    lines += ["", "Missing fields (of the rows that can be posts)"]
    missing = {name: found.n_posts - n for name, n in found.n_known.items()}
    lines += [f"  {name:<28}{_share(n, found.n_posts)}" for name, n in missing.items() if 0 < n < found.n_posts]
    absent = [name for name, n in missing.items() if n == found.n_posts]
    lines += [f"  in no row: {', '.join(absent) or 'none'}", f"  in every row: {_complete(missing)}"]
    lines += [
        "",
        f"Counts{'':<24}{''.join(f'{name:>12}' for name in ('least', '25%', 'median', '75%', '99%', 'most'))}",
    ]
    lines += [f"  {name:<28}{_cells(values)}" for name, values in found.quantiles.items() if values]
    lines += ["", "Labels"]
    for rule, inputs in LABEL_INPUTS.items():
        lacking = [name for name in inputs if not found.n_known[name]]
        most = min(found.n_known[name] for name in inputs)
        verdict = f"none, missing: {', '.join(lacking)}" if lacking else f"at most {most:,}"
        lines.append(f"  {rule:<28}{verdict}")
    lines += ["", "Images"]
    n_named = found.n_known["image_id"]
    lines.append(f"  {'named by a post':<28}{_share(n_named, found.n_posts)}")
    if found.n_images_found is not None:
        lines.append(f"  {'there, of those':<28}{_share(found.n_images_found, n_named)}")
    return lines


def _complete(missing: dict[str, int]) -> str:
    return ", ".join(name for name, n in missing.items() if n == 0) or "none"
