"""Pages: one HTML file each, images and styles inside it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def _load(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def render_page(template: str, **values: Any) -> str:
    """`<template>` of this package with its values; every value is escaped, and a missing one raises."""
    environment = Environment(
        loader=FunctionLoader(_load), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)
