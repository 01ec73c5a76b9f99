"""What a person sees of a scoring run: a short summary, and a page with the images."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from popspark.images.limits import Limits
from popspark.images.table import thumbnails
from popspark.models.bundle import Bundle
from popspark.report.figures import data_uri, histogram
from popspark.report.page import render_page
from popspark.runtime.files import write_whole
from popspark.runtime.stages import Stages
from popspark.scoring.inputs import latest_rows
from popspark.scoring.update import Outcome

N_IMAGES, N_REFUSED, N_PLOTTED = 10, 50, 100_000


def scoring_seconds(stages: Stages) -> float:
    """Of finding out what to score, scoring it and publishing it."""
    return sum(stages.seconds.get(name, 0.0) for name in ("changes found", "scoring", "published"))


def _posts_per_second(outcome: Outcome, stages: Stages) -> float:
    return (outcome.n_scored + outcome.n_refused) / max(scoring_seconds(stages), 1e-9)


def render_summary(outcome: Outcome, stages: Stages, scores: str, report: str | None) -> str:
    """A few lines for the terminal."""
    lines = ["", f"posts in       {outcome.n_in:>12,}", f"scored         {outcome.n_scored:>12,}"]
    lines += [f"refused        {outcome.n_refused:>12,}"]
    lines += [f"  {status:<13}{n:>12,}" for status, n in outcome.refused.items()]
    lines += [f"unchanged      {outcome.n_unchanged:>12,}"]
    if outcome.n_removed:
        lines.append(f"removed        {outcome.n_removed:>12,}  rows of posts that are no more")
    if n_left_out := outcome.n_rows - outcome.n_in:
        lines.append(f"left out       {n_left_out:>12,}  rows without a post_id of their own, or of other days")
    rate, seconds = _posts_per_second(outcome, stages), scoring_seconds(stages)
    lines.append(f"posts a second {rate:>12,.1f}  in {seconds:.1f} s of scoring")
    lines += [f"  {name:<28}{seconds:>8.1f} s" for name, seconds in stages.seconds.items()]
    lines.append(f"scores         {scores}")
    if report:
        lines.append(f"report         {report}")
    return "\n".join(lines)


def _illustrated(rows: DataFrame, images: DataFrame, order: Column, limits: Limits) -> list[dict[str, Any]]:
    """The first posts in that order, one per image, each with its thumbnail."""
    first = Window.partitionBy("sha256").orderBy(order, "post_id")
    ranked = rows.join(images.select("image_id", "sha256"), "image_id")
    ranked = ranked.withColumn("n", F.row_number().over(first)).where("n = 1").orderBy(order, "post_id")
    chosen = ranked.limit(N_IMAGES).collect()
    small = thumbnails(images.where(F.col("image_id").isin([row["image_id"] for row in chosen])), limits)
    return [row.asDict() | {"thumbnail": small.get(row["image_id"])} for row in chosen]


def write_report(
    path: str,
    posts: DataFrame,
    images: DataFrame,
    scores: DataFrame,
    bundle: Bundle,
    outcome: Outcome,
    stages: Stages,
    limits: Limits,
) -> None:
    """Writes the page, to a path or a URL. At most `N_PLOTTED` scores, evenly drawn by hash, are plotted."""
    names = latest_rows(posts).select("post_id", "title", "image_id")
    rows = scores.join(names, "post_id", "left")
    scored = rows.where("status = 'ok'")
    share = min(1.0, N_PLOTTED / max(scores.where("status = 'ok'").count(), 1))
    kept = scored.where(F.abs(F.xxhash64("post_id") % 1_000_000) < int(share * 1_000_000))
    values = np.array([row["score"] for row in kept.select("score").collect()])
    refused = rows.where("status <> 'ok'").orderBy("status", "post_id").limit(N_REFUSED).collect()
    newest = scores.agg(F.unix_seconds(F.max("scored_at"))).collect()[0][0]
    page = render_page(
        __package__,
        "scores.html",
        title="Popularity scores",
        manifest=bundle.manifest,
        outcome=outcome,
        seconds=scoring_seconds(stages),
        posts_per_second=_posts_per_second(outcome, stages),
        stages=stages.seconds,
        scored_at="" if newest is None else f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%M:%S}",
        posts_simulated=posts.where("is_simulated").limit(1).count() > 0,
        random_families=bundle.random_families,
        top=_illustrated(scored, images, F.desc("score"), limits),
        bottom=_illustrated(scored, images, F.asc("score"), limits),
        distribution=data_uri(histogram(values, "score", "posts"), "image/png") if len(values) else None,
        refused=refused,
        n_shown=N_REFUSED,
    )
    write_whole(path, page.encode())
