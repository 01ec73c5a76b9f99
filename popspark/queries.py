"""The texts of popspark/sql: SQL that reads as SQL, each file named after the table it produces."""

from __future__ import annotations

from importlib.resources import files


def load_sql(name: str) -> str:
    """The text of `<name>.sql`, for `spark.sql(load_sql(name), args={...}, posts=posts)`."""
    return files("popspark").joinpath("sql", f"{name}.sql").read_text("utf-8")
