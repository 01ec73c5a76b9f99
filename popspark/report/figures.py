"""Figures as bytes of PNG, and pictures small enough to stand in a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

INK, ACCENT = "#33373d", "#3a6ea5"
THUMBNAIL_PX = 260


def data_uri(content: bytes, mime: str) -> str:
    """For the src of an img element, so that a page is one file."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, 110 dots per inch."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
    return stream.getvalue()


def histogram(values: npt.NDArray[Any], x_label: str, y_label: str) -> bytes:
    """One distribution, as PNG."""
    figure = Figure(figsize=(7.2, 2.8))
    axes = figure.add_subplot()
    axes.hist(values, bins=min(40, max(5, len(values) // 8)), color=ACCENT, edgecolor="white", linewidth=0.6)
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    return to_png(figure)


def bars(labels: Sequence[str], values: Sequence[float], x_label: str) -> bytes:
    """One horizontal bar a label, the first on top, as PNG."""
    figure = Figure(figsize=(7.2, 0.5 + 0.34 * len(labels)))
    axes = figure.add_subplot()
    axes.barh(labels, values, color=ACCENT)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel(x_label, color=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, left=False)
    return to_png(figure)


def picture_grid(pictures: Sequence[npt.NDArray[Any]], captions: Sequence[str], n_columns: int = 6) -> bytes:
    """Pictures, uint8 (H, W, 3), in rows of `n_columns`, each above its caption, as PNG."""
    n_rows = -(-len(pictures) // n_columns)
    figure = Figure(figsize=(1.7 * n_columns, 1.9 * n_rows))
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True), start=1):
        axes = figure.add_subplot(n_rows, n_columns, place)
        small = Image.fromarray(picture)
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        axes.imshow(small)
        axes.text(0.5, -0.05, caption, transform=axes.transAxes, fontsize=8, color=INK, ha="center", va="top")
        axes.set_axis_off()
        axes.set_anchor("S")
    figure.subplots_adjust(wspace=0.06, hspace=0.35)
    return to_png(figure)


def thumbnail(image: npt.NDArray[Any]) -> str:
    """A picture, uint8 (H, W, 3), as a data URI of a JPEG of at most `THUMBNAIL_PX` a side."""
    picture = Image.fromarray(image)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=82)
    return data_uri(stream.getvalue(), "image/jpeg")
