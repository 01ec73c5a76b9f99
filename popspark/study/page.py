"""The study's report: one HTML page, a CSV of each table and a PNG of each figure, in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import popspark
from popspark.report.figures import data_uri
from popspark.report.page import render_page
from popspark.study import figures, published
from popspark.study.facts import METRIC_TITLES, MODE_TITLES, Predictions, StudyFacts
from popspark.study.tables import all_tables, cell_title

N_IMAGES = 6
N_CANDIDATES = 60
"""Posts among which images are sought that differ."""


@dataclass(frozen=True)
class StudyReport:
    """best, worst: post_id and image of figure 8. settings, stages: for the page's end."""

    facts: StudyFacts
    best: Sequence[Mapping[str, Any]]
    worst: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    stages: Mapping[str, float]


def best_and_worst(found: Predictions) -> tuple[list[str], list[str]]:
    """Post ids by absolute error: the smallest first, and the largest first."""
    order = np.argsort(np.abs(found.predicted - found.labels), kind="stable")
    ids = [str(post_id) for post_id in found.post_ids[order]]
    return ids[:N_CANDIDATES], ids[::-1][:N_CANDIDATES]


def _figures(facts: StudyFacts) -> dict[str, bytes]:
    found = facts.predictions
    drawn = {"figure_7_labels": figures.label_distribution(facts.train_labels)}
    if "vscnn" in found:
        drawn["figure_6a_errors"] = figures.error_histogram(found["vscnn"])
        drawn["figure_6b_scatter"] = figures.scatters({"vscnn": found["vscnn"]})
    for name, models in (("figure_9_cnns", ("scnn", "vcnn")), ("figure_10_baselines", ("lr", "svr", "dtr", "gbdt"))):
        drawn[name] = figures.scatters({m: found[m] for m in models if m in found})
    drawn["figure_11_bars"] = figures.best_bars(facts.main)
    best = facts.main.best("vscnn") or facts.main.best("scnn")
    if best:
        drawn["curves"] = figures.curves(best.curves)
    return drawn


def _with_errors(shown: Sequence[Mapping[str, Any]], found: Predictions | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    row_of = {str(post_id): i for i, post_id in enumerate(found.post_ids)}
    rows = ((one, row_of[one["post_id"]]) for one in shown)
    return [{**one, "actual": float(found.labels[i]), "predicted": float(found.predicted[i])} for one, i in rows]


def write_study(report: StudyReport, folder: Path) -> str:
    """Writes all of it and returns a few lines for the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = report.facts
    tables, drawn = all_tables(facts), _figures(facts)
    vscnn = facts.predictions.get("vscnn")
    best, worst = _with_errors(report.best, vscnn), _with_errors(report.worst, vscnn)
    if best:
        drawn["figure_8_photographs"] = figures.images(best, worst)
    for name, table in tables.items():
        (folder / f"{name}.csv").write_text(table.to_csv(), "utf-8")
    for name, content in drawn.items():
        (folder / f"{name}.png").write_bytes(content)
    page = render_page(
        __package__,
        "study.html",
        title="The VSCNN study",
        facts=facts,
        tables=tables,
        figures={name: data_uri(content, "image/png") for name, content in drawn.items()},
        headline=facts.main.best("vscnn") or facts.main.best("scnn"),
        user_mean=facts.main.best("user_mean"),
        mean_error=float((vscnn.predicted - vscnn.labels).mean()) if vscnn else None,
        cell_title=cell_title,
        mode_titles=MODE_TITLES,
        metric_titles=METRIC_TITLES,
        source=published.SOURCE,
        settings=report.settings,
        stages=report.stages,
        version=popspark.__version__,
    )
    path = folder / "study.html"
    path.write_text(page, "utf-8")
    return _summary(facts, report.stages, path)


def _summary(facts: StudyFacts, stages: Mapping[str, float], path: Path) -> str:
    lines = ["", f"test split of {cell_title(facts.main)}, {facts.main.splits['test'].posts:,} posts"]
    for model, found in (("vscnn", "VSCNN"), ("scnn", "SCNN"), ("gbdt", "GBDT"), ("user_mean", "user's mean")):
        result = facts.main.best(model)
        if result:
            rho, mae = result.test["spearman_rho"], result.test["mae"]
            lines.append(f"  {found:<14}rho {rho.value:.3f} [{rho.low:.3f}, {rho.high:.3f}]  MAE {mae.value:.3f}")
    lines += [f"  {name:<42}{seconds:>8.1f} s" for name, seconds in stages.items()]
    return "\n".join([*lines, f"report  {path}"])
