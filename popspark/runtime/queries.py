"""The SQL texts: SQL that reads as SQL, each file beside the Python that runs it and named after what it produces."""

from __future__ import annotations

from importlib.resources import files


def load_sql(room: str, name: str) -> str:
    """The text of `<name>.sql` in a package, for `spark.sql(load_sql(__package__, name), args={...}, posts=posts)`."""
    return files(room).joinpath(f"{name}.sql").read_text("utf-8")
