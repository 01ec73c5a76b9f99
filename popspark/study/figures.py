"""Figures 6 to 11 of the VSCNN paper, and the curves of the fit, as bytes of PNG."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from popspark.report.figures import ACCENT, INK, label_axes, to_png
from popspark.study import published
from popspark.study.facts import METRIC_TITLES, MODELS, CellFacts, FitResult, Predictions

PUBLISHED = "#c98b2b"
PLOTTED = 20_000
"""Points of a scatter plot at most, the first of the test split: more are a blot."""

BEST = {"lr": "visual+social", "svr": "visual+social", "dtr": "visual+social", "gbdt": "visual+social"}
"""Where table V states each baseline's best."""


def error_histogram(found: Predictions) -> bytes:
    """Figure 6 (a): predicted minus actual."""
    figure = Figure(figsize=(4.8, 3.4))
    axes = figure.add_subplot()
    errors = found.predicted - found.labels
    axes.hist(errors, bins=min(60, max(10, len(errors) // 15)), color=ACCENT, edgecolor="white", linewidth=0.5)
    axes.axvline(0, color=INK, linewidth=1)
    label_axes(axes, "predicted - actual popularity", "test posts")
    return to_png(figure)


def scatters(found: Mapping[str, Predictions]) -> bytes:
    """Figures 6 (b), 9 and 10: actual against predicted popularity, a panel a model."""
    n_columns = min(len(found), 2)
    n_rows = -(-len(found) // n_columns)
    figure = Figure(figsize=(4.8 * n_columns, 3.4 if len(found) == 1 else 4 * n_rows), layout="constrained")
    everything = np.concatenate([np.concatenate([p.labels, p.predicted]) for p in found.values()])
    low, high = np.percentile(everything, [0, 100])
    for panel, (model, one) in enumerate(found.items(), 1):
        axes = figure.add_subplot(n_rows, n_columns, panel)
        alpha = float(np.clip(400 / len(one.labels), 0.08, 0.6))
        axes.scatter(one.labels[:PLOTTED], one.predicted[:PLOTTED], s=9, color=ACCENT, alpha=alpha, linewidths=0)
        axes.plot([low, high], [low, high], color=INK, linewidth=0.8)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        label_axes(axes, "actual popularity", "predicted", MODELS[model] if len(found) > 1 else "")
    return to_png(figure)


def label_distribution(labels: npt.NDArray[np.float32]) -> bytes:
    """Figure 7: of the training split."""
    figure = Figure(figsize=(7.2, 2.8))
    axes = figure.add_subplot()
    axes.hist(labels, bins=min(60, max(10, len(labels) // 15)), color=ACCENT, edgecolor="white", linewidth=0.5)
    label_axes(axes, "popularity of the training posts", "posts")
    return to_png(figure)


def images(best: Sequence[Mapping[str, Any]], worst: Sequence[Mapping[str, Any]]) -> bytes:
    """Figure 8: the smallest errors above, the largest below; image (a data URI), actual and predicted of each."""
    n_columns = max(len(best), len(worst))
    figure = Figure(figsize=(1.9 * n_columns, 4.8), layout="constrained")
    for row, shown in enumerate((best, worst)):
        for column, one in enumerate(shown):
            axes = figure.add_subplot(2, n_columns, row * n_columns + column + 1)
            content = base64.b64decode(one["image"].partition(",")[2])
            axes.imshow(np.asarray(Image.open(BytesIO(content))))
            axes.set_axis_off()
            axes.set_title(f"actual {one['actual']:.2f}\npredicted {one['predicted']:.2f}", color=INK, fontsize=9)
    return to_png(figure)


def _stated(model: str) -> published.Triple | None:
    table_4 = {"scnn": "social", "vcnn": "visual", "vscnn": "visual+social"}
    if model in table_4:
        return published.TABLE_4[model, table_4[model]]
    if model in BEST:
        return published.TABLE_5[model, BEST[model]]
    return published.TABLE_7.get(model)


def best_bars(main: CellFacts) -> bytes:
    """Figure 11: each model on all that it can read, with its 95 % interval; published values as diamonds."""
    models = [model for model in MODELS if main.best(model)]
    results: list[FitResult] = [result for model in models if (result := main.best(model))]
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    for panel, (metric, title) in enumerate(METRIC_TITLES.items()):
        axes = figure.add_subplot(1, 3, panel + 1)
        estimates = [result.test[metric] for result in results]
        values = np.array([e.value for e in estimates])
        errors = np.abs([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])
        rows = np.arange(len(models))
        axes.barh(rows, np.nan_to_num(values), color=ACCENT, height=0.62, label="measured here")
        axes.errorbar(values, rows, xerr=errors, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        stated = [(row, triple[panel]) for row, model in enumerate(models) if (triple := _stated(model))]
        axes.scatter(
            [value for _, value in stated],
            [row for row, _ in stated],
            marker="D",
            s=26,
            facecolors="white",
            edgecolors=PUBLISHED,
            linewidths=1.5,
            zorder=3,
            label="published, on other posts",
        )
        axes.set_yticks(rows, [MODELS[model] for model in models] if panel == 0 else [""] * len(models))
        axes.invert_yaxis()
        label_axes(axes, title, "")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return to_png(figure)


def curves(lines: Sequence[Mapping[str, float]]) -> bytes:
    """Loss of training (with dropout) and of validation, and the validation's rho, by epoch."""
    figure = Figure(figsize=(9.6, 3), layout="constrained")
    epochs = [line["epoch"] for line in lines]
    loss, rho = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    loss.plot(epochs, [line["train_loss"] for line in lines], color=ACCENT, label="training, with dropout")
    loss.plot(epochs, [line["valid_mse"] for line in lines], color=PUBLISHED, label="validation")
    loss.legend(frameon=False, fontsize=9)
    rho.plot(epochs, [line["valid_rho"] for line in lines], color=ACCENT)
    label_axes(loss, "epoch", "MSE")
    label_axes(rho, "epoch", "validation rho")
    return to_png(figure)
