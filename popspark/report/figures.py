"""Figures as bytes of PNG, and images small enough to stand in a page."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

INK, ACCENT = "#33373d", "#3a6ea5"
THUMBNAIL_PX = 260


def data_uri(content: bytes, mime: str) -> str:
    """The content as the src of an img element, so that a page is one file."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, 110 dots per inch."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
    return stream.getvalue()


def label_axes(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Names the axes and leaves only their two lines, in the colour of every figure."""
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    if title:
        axes.set_title(title, color=INK, fontsize=11)


def histogram(values: npt.NDArray[Any], x_label: str, y_label: str) -> bytes:
    """One distribution, as PNG."""
    figure = Figure(figsize=(7.2, 2.8))
    axes = figure.add_subplot()
    axes.hist(values, bins=min(40, max(5, len(values) // 8)), color=ACCENT, edgecolor="white", linewidth=0.6)
    label_axes(axes, x_label, y_label)
    return to_png(figure)


def thumbnail(image: npt.NDArray[Any]) -> str:
    """An image, uint8 (H, W, 3), as a data URI of a JPEG of at most `THUMBNAIL_PX` a side."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    stream = BytesIO()
    small.save(stream, "JPEG", quality=82)
    return data_uri(stream.getvalue(), "image/jpeg")
