"""Every .sql file is Spark SQL, and some code loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot

from popspark.runtime.queries import load_sql

PACKAGE = Path(__file__).resolve().parents[3] / "popspark"
TEXTS = {path.stem: f"popspark.{path.parent.name}" for path in sorted(PACKAGE.glob("*/*.sql"))}


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_one_query_in_spark_s_dialect(name: str) -> None:
    statements = sqlglot.parse(load_sql(TEXTS[name], name), dialect="spark")
    assert [type(statement) for statement in statements] in ([sqlglot.exp.Select], [sqlglot.exp.Union])


def _mentions(name: str, code: str) -> bool:
    """Whole, or as the stem of `load_sql(f"labels_{rule}")` with its ending named elsewhere in the room."""
    whole = f'load_sql(__package__, "{name}")' in code or f'load_sql("{TEXTS[name]}", "{name}")' in code
    parts = [(name[:i], name[i + 1 :]) for i, letter in enumerate(name) if letter == "_"]
    return whole or any(
        f'load_sql(__package__, f"{stem}_{{' in code and f'"{ending}"' in code for stem, ending in parts
    )


@pytest.mark.parametrize("name", TEXTS)
def test_its_room_loads_it(name: str) -> None:
    rooms = [PACKAGE / TEXTS[name].rpartition(".")[2], PACKAGE / "jobs"]
    assert _mentions(name, "".join(path.read_text() for room in rooms for path in room.glob("*.py")))


def test_there_are_queries() -> None:
    assert "social_features" in TEXTS


def test_an_unknown_name_has_no_text() -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such_table\.sql"):
        load_sql("popspark.posts", "no_such_table")
