"""Fills the reference pages from the code as mkdocs builds them, so that nothing is said twice.

A page holds a mark on a line of its own, in the place of which comes

    <!-- jobs -->                 each job of the command line, with its settings, defaults and their meaning
    <!-- tables -->               each table's columns, types and keys
    <!-- docstring MODULE -->     the module's docstring, which is Markdown
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MARK = re.compile(r"^<!-- (jobs|tables|docstring)(?: ([\w.]+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its marks filled; mkdocs calls it for every page."""
    return MARK.sub(_fill, markdown)


def _fill(mark: re.Match[str]) -> str:
    if mark[1] == "jobs":
        return "\n\n".join(_jobs())
    if mark[1] == "tables":
        return "\n\n".join(_tables())
    return _docstring(mark[2])


def _docstring(module: str) -> str:
    """Read, not imported: some modules load torch."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module {module}, whose docstring a page of docs/ shows.")
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or ""
    # Markdown wants an empty line before a list, and else runs two lines into one.
    return re.sub(r"\n(?=Writes\b)|(?<=:)\n(?=- )", "\n\n", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _jobs() -> Iterable[str]:
    from popspark.cli import JOBS, list_settings, module_of

    for purpose, jobs in JOBS.items():
        yield f"## {purpose}"
        for name in jobs:
            module = module_of(name)
            rows = (
                (f"`{setting.name}`", f"`{setting.default}`" if setting.default else "", setting.meaning)
                for setting in list_settings(import_module(module).Config)
            )
            yield f"### {name}"
            yield _docstring(module)
            yield _table(("setting", "default", "meaning"), rows)


def _tables() -> Iterable[str]:
    from popspark.storage import tables

    for table in (getattr(tables, name) for name in tables.__all__):
        never_null = {*table.key, *table.required}
        rows = (
            (f"`{name}`", kind.simpleString(), "" if name in never_null else "yes")
            for name, kind in table.columns.items()
        )
        facts = [f"key: {', '.join(f'`{name}`' for name in table.key)}" if table.key else "no key"]
        facts += [f"partitioned by `{name}`" for name in table.partitioned_by]
        yield f"## {table.name if table is not tables.IMAGE_BLOBS else 'images of your own (bytes)'}"
        yield "; ".join(facts).capitalize() + "."
        yield _table(("column", "type", "may be null"), rows)
