"""Pages: one HTML file each, images and styles inside it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def render_page(room: str, template: str, **values: Any) -> str:
    """`<template>` of package `room` with its values; every value is escaped, and a missing one raises.

    It may extend base.html, which stands here.
    """

    def load(name: str) -> str:
        return files(__package__ if name == "base.html" else room).joinpath(name).read_text("utf-8")

    environment = Environment(
        loader=FunctionLoader(load), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)
