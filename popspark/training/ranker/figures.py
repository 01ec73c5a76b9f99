"""Figures of a ranker's report, as bytes of PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from popspark.evaluation.metrics import Bin
from popspark.report.figures import ACCENT, INK, label_axes, to_png

SECOND = "#c98b2b"


def fit_curves(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """Losses of training and validation, and the validation's accuracy, by epoch; epoch 0 is the start."""
    figure = Figure(figsize=(9.6, 3), layout="constrained")
    loss, accuracy = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    epochs = [line["epoch"] for line in lines]
    trained = [line for line in lines if line["train_loss"] is not None]
    loss.plot(
        [line["epoch"] for line in trained], [line["train_loss"] for line in trained], color=ACCENT, label="training"
    )
    loss.plot(epochs, [line["valid_loss"] for line in lines], color=SECOND, label="validation")
    loss.legend(frameon=False, fontsize=9)
    accuracy.plot(epochs, [line["valid_accuracy"] for line in lines], color=ACCENT)
    accuracy.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    label_axes(loss, "epoch", "cross entropy")
    label_axes(accuracy, "epoch", "validation pairs ranked right")
    return to_png(figure)


def reliability(bins: Sequence[Bin]) -> bytes:
    """The share that came true against the probability that was given, with 95 % intervals."""
    figure = Figure(figsize=(4.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0.5, 1], [0.5, 1], color=INK, linewidth=0.8, linestyle=":")
    shares = [one.hits.value for one in bins]
    errors = [
        [max(0.0, one.hits.value - one.hits.low) for one in bins],
        [max(0.0, one.hits.high - one.hits.value) for one in bins],
    ]
    axes.errorbar(
        [one.confidence for one in bins], shares, yerr=errors, fmt="o-", color=ACCENT, capsize=2, markersize=4
    )
    axes.set_xlim(0.48, 1.02)
    axes.set_ylim(0, 1.05)
    label_axes(axes, "probability given to the favoured side", "share that came true")
    return to_png(figure)
