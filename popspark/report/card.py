"""A bundle's model card, from its manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment


def render_card(manifest: Mapping[str, Any]) -> str:
    """Markdown: what the model is, what it learned from, what it reached, what it must not be used for."""
    name = "ranker_card.md" if manifest["kind"] == "ranker" else "card.md"
    template = files(__package__).joinpath(name).read_text("utf-8")
    return Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False).from_string(template).render(manifest)
