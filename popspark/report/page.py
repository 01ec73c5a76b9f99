"""Pages: one HTML file each, images and styles inside it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from popspark.runtime.redaction import redact


def render_page(room: str, template: str, **values: Any) -> str:
    """`<template>` of package `room` with its values, each escaped and without secrets; a missing one raises.

    It may extend base.html, which stands here.
    """

    def load(name: str) -> str:
        return files(__package__ if name == "base.html" else room).joinpath(name).read_text("utf-8")

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=True,
        finalize=_finish,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _finish(value: Any) -> Any:
    """A value without secrets, such as the password or the signature in an image's URL; pictures stay as they are."""
    is_text = isinstance(value, str) and not isinstance(value, Markup) and not value.startswith("data:image/")
    return redact(value) if is_text else value
