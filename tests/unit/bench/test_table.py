"""What a bench writes: its own section of docs/benchmarks.md, and nothing else of the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import table
from bench.table import Circumstances, Row, circumstances_now, finish, render_section, replace_section

PAGE = "# Benchmarks\n\nWhat a row says.\n"
FAST = Row("a job, against a loop", 30.0, 10.0, "images/s", 2.0, at_least=True)
SLOW = Row("time | of a night", 12.345678, 10.0, "s", 1.2, at_least=False)


def test_a_row_meets_its_target_from_its_side() -> None:
    assert FAST.cells() == ("a job, against a loop", "30 images/s", "10 images/s", "3", ">= 2", "yes")
    assert SLOW.cells() == ("time | of a night", "12.35 s", "10 s", "1.23", "<= 1.2", "NO")


def test_a_section_has_title_command_circumstances_table_and_notes() -> None:
    found = Circumstances("python -m bench.scoring", "a processor, 2 cores", "2026-01-02", "Python 3.11.9")
    assert render_section("Scoring", [FAST, SLOW], ["The start takes 9 s."], found) == (
        "## Scoring\n\n"
        "`python -m bench.scoring`\n\n"
        "a processor, 2 cores; 2026-01-02; Python 3.11.9.\n\n"
        "| what | measured | reference | ratio | target | met |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| a job, against a loop | 30 images/s | 10 images/s | 3 | >= 2 | yes |\n"
        "| time \\| of a night | 12.35 s | 10 s | 1.23 | <= 1.2 | NO |\n\n"
        "- The start takes 9 s."
    )


def test_a_first_section_is_added_at_the_end() -> None:
    page = replace_section(PAGE, "pairs", "## Pairs")
    assert page == f"{PAGE}\n<!-- bench pairs -->\n## Pairs\n<!-- end of bench pairs -->\n"
    assert replace_section(page, "scoring", "## Scoring").startswith(page)


def test_a_section_is_replaced_where_it_stands_and_nothing_else_moves() -> None:
    page = (
        replace_section(replace_section(PAGE, "pairs", "## Pairs\n\nold"), "scoring", "## Scoring") + "\nThe end.  \n"
    )
    replaced = replace_section(page, "pairs", "## Pairs\n\nnew")
    assert replaced == page.replace("old", "new")
    assert replace_section(replaced, "pairs", "## Pairs\n\nnew") == replaced


@pytest.mark.parametrize(
    "page",
    ["<!-- bench pairs -->\n", "<!-- end of bench pairs -->\n<!-- bench pairs -->", "<!-- end of bench pairs -->"],
)
def test_a_section_that_is_not_closed_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="The section of bench pairs is not closed"):
        replace_section(page, "pairs", "## Pairs")


def test_the_command_is_the_one_to_run_again(tmp_path: Path) -> None:
    file = str(tmp_path / "bench" / "pairs.py")
    assert circumstances_now([file]).command == "python -m bench.pairs"
    given = [file, "--posts-share", "0.1", "--json", "x.json", "--only", "feed"]
    assert circumstances_now(given).command == "python -m bench.pairs --posts-share 0.1 --only feed"


def test_the_circumstances_name_machine_day_and_versions() -> None:
    found = circumstances_now(["bench/pairs.py"])
    assert found.machine.endswith(" cores")
    assert len(found.date) == 10
    assert found.versions.startswith("Python 3.")
    assert "numpy " in found.versions


def test_a_bench_ends_with_print_json_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, found = tmp_path / "benchmarks.md", tmp_path / "found" / "scoring.json"
    page.write_text(PAGE)
    monkeypatch.setattr(table, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["bench/scoring.py", "--json", str(found)])
    finish("Scoring", [FAST], str(found), ["A note."])
    assert "a job, against a loop  30 images/s" in capsys.readouterr().out
    assert json.loads(found.read_text())["rows"][0]["ratio"] == 3
    assert page.read_text().startswith(PAGE)
    assert "<!-- bench scoring -->\n## Scoring\n\n`python -m bench.scoring`\n" in page.read_text()
