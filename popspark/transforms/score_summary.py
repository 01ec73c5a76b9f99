"""What a person sees of a scoring run: a short summary, and a page with the photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f

from popspark.errors import AccountingError
from popspark.images import decode
from popspark.report.figures import data_uri, histogram, thumbnail
from popspark.report.page import render_page
from popspark.report.stages import Stages
from popspark.tables import count_by_status

N_PICTURES, N_REFUSED, N_PLOTTED = 10, 50, 100_000


@dataclass(frozen=True)
class Summary:
    """n_in: posts by post_id. n_duplicates: further rows of a post_id, and rows without one. refused: by status."""

    n_in: int
    n_duplicates: int
    n_scored: int
    refused: Mapping[str, int]
    seconds: float

    @property
    def n_refused(self) -> int:
        return sum(self.refused.values())

    @property
    def posts_per_second(self) -> float:
        return self.n_in / self.seconds if self.seconds else 0.0

    def render(self, stages: Stages, scores: str, report: str | None) -> str:
        """A few lines for the terminal."""
        lines = ["", f"posts in       {self.n_in:>12,}", f"scored         {self.n_scored:>12,}"]
        lines += [f"refused        {self.n_refused:>12,}"]
        lines += [f"  {status:<13}{n:>12,}" for status, n in self.refused.items()]
        if self.n_duplicates:
            lines.append(f"left out       {self.n_duplicates:>12,}  rows without a post_id of their own")
        lines.append(f"posts a second {self.posts_per_second:>12,.1f}  in {self.seconds:.1f} s of scoring")
        lines += [f"  {name:<28}{seconds:>8.1f} s" for name, seconds in stages.seconds.items()]
        lines.append(f"scores         {scores}")
        if report:
            lines.append(f"report         {report}")
        return "\n".join(lines)


def summarise(posts: DataFrame, scores: DataFrame, stages: Stages) -> Summary:
    """Counts what went in and came out; raises `AccountingError` where a post has no row in `scores`, or two."""
    n_rows, n_in = posts.select(f.count("*"), f.count_distinct("post_id")).collect()[0]
    counts = count_by_status(scores)
    if sum(counts.values()) != n_in:
        raise AccountingError(
            "Posts in and scores out do not add up.",
            got=f"{sum(counts.values())} scores",
            legal=f"{n_in} posts",
            fix="the posts table changed while it was scored: score it again",
        )
    n_scored = counts.pop("ok", 0)
    return Summary(n_in, n_rows - n_in, n_scored, counts, stages.seconds["scoring"])


def _pictures(rows: DataFrame, images: DataFrame, order: Column) -> list[dict[str, Any]]:
    """The first posts in that order, one per picture, each with its thumbnail."""
    first = Window.partitionBy("sha256").orderBy(order, "post_id")
    ranked = rows.join(images.select("image_id", "sha256"), "image_id")
    ranked = ranked.withColumn("n", f.row_number().over(first)).where("n = 1").orderBy(order, "post_id")
    chosen = ranked.limit(N_PICTURES).join(images.select("image_id", "content"), "image_id").orderBy(order, "post_id")
    return [row.asDict() | {"picture": thumbnail(decode(bytes(row["content"])))} for row in chosen.collect()]


def write_report(
    path: str,
    posts: DataFrame,
    images: DataFrame,
    scores: DataFrame,
    manifest: Mapping[str, Any],
    summary: Summary,
    stages: Stages,
) -> None:
    """Writes the page. At most `N_PLOTTED` scores, evenly drawn by hash, are plotted."""
    names = posts.select("post_id", "title", "image_id").dropDuplicates(["post_id"])
    rows = scores.join(names, "post_id", "left")
    scored = rows.where("status = 'ok'")
    share = min(1.0, N_PLOTTED / max(summary.n_scored, 1))
    kept = scored.where(f.abs(f.xxhash64("post_id") % 1_000_000) < int(share * 1_000_000))
    values = np.array([row["score"] for row in kept.select("score").collect()])
    refused = rows.where("status <> 'ok'").orderBy("status", "post_id").limit(N_REFUSED).collect()
    newest = scores.agg(f.max("scored_at").cast("string")).collect()[0][0]
    page = render_page(
        "scores.html",
        title="Popularity scores",
        manifest=manifest,
        summary=summary,
        stages=stages.seconds,
        scored_at=(newest or "")[:19],
        posts_simulated=posts.where("is_simulated").limit(1).count() > 0,
        random_families=", ".join(x["name"] for x in manifest["features"] if x["weights"] == "random"),
        top=_pictures(scored, images, f.desc("score")),
        bottom=_pictures(scored, images, f.asc("score")),
        distribution=data_uri(histogram(values, "score", "posts"), "image/png") if len(values) else None,
        refused=refused,
    )
    Path(path).write_text(page)
