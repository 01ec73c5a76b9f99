"""The pages: their links, their marks, their length, and the jobs and settings that their commands name."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from popspark.cli import module_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
JOBS = sorted((ROOT / "popspark" / "jobs").glob("[a-z]*.py"))
AT_ROOT = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")]
CODE = re.compile(r"^```sh\n([\s\S]*?)^```|`(popspark [^`\n]+)`|^ {4}(popspark .*)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|\s)(?:popspark |jobs/)([a-z][a-z_-]*)(?:\.py)?( .*)?$", re.MULTILINE)


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", AT_ROOT, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Those of docs/ are checked by `mkdocs build --strict`."""
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", [page for page in DOCS if "<!-- " in page.read_text("utf-8")], ids=relative)
def test_marks_are_filled_from_the_code(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    fill = import_module("generate_reference").on_page_markdown
    text = page.read_text("utf-8")
    filled = fill(text)
    assert not re.search("<!-- (jobs|tables|docstring)", filled)
    assert len(filled) >= len(text)


def test_a_mark_of_a_module_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    fill = import_module("generate_reference").on_page_markdown
    with pytest.raises(
        ModuleNotFoundError, match=r"No module popspark\.no_such, whose docstring a page of docs/ shows"
    ):
        fill("<!-- docstring popspark.no_such -->")


def is_setting(model: Any, key: str) -> bool:
    """Whether the key, or the dictionary that it goes into, is one of the settings of a job."""
    from popspark.cli import list_settings

    names = {setting.name for setting in list_settings(model)}
    parts = key.split(".")
    return any(".".join(parts[:n]) in names for n in range(1, len(parts) + 1))


@pytest.mark.parametrize("page", [*AT_ROOT, *DOCS, ROOT / "sample" / "README.md", *JOBS], ids=relative)
def test_commands_name_jobs_and_settings_that_are_there(page: Path) -> None:
    """And of those that stand on lines of their own, to be copied, all that must be given."""
    for block, inline, indented in CODE.findall(page.read_text("utf-8")):
        for name, rest in COMMAND.findall((block or inline or indented).replace("\\\n", " ")):
            model = import_module(module_of(name)).Config
            keys = [word.partition("=")[0] for word in shlex.split(rest, comments=True) if "=" in word]
            assert [key for key in keys if not is_setting(model, key)] == [], name
            required = {key for key, field in model.model_fields.items() if field.is_required()}
            assert inline or "--help" in rest or required <= set(keys), name
