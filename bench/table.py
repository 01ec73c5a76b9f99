"""The table that every bench ends with: printed, as JSON, and as the bench's own section of docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from popspark.runtime.files import write_whole

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
COLUMNS = ("what", "measured", "reference", "ratio", "target", "met")
# What moves the numbers most; a package that is not installed is left out.
PACKAGES = ("popspark", "pyspark", "pyarrow", "numpy", "torch", "opencv-python-headless", "duckdb")


@dataclass(frozen=True)
class Row:
    """One comparison within one run. ratio = measured / reference; at_least: whether the target is a lower bound."""

    what: str
    measured: float
    reference: float
    unit: str
    target: float
    at_least: bool

    @property
    def ratio(self) -> float:
        return self.measured / self.reference

    @property
    def met(self) -> bool:
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def cells(self) -> tuple[str, ...]:
        """The row's texts, one for each of `COLUMNS`."""
        bound = f"{'>=' if self.at_least else '<='} {self.target:g}"
        numbers = f"{self.measured:.4g} {self.unit}", f"{self.reference:.4g} {self.unit}", f"{self.ratio:.3g}"
        return (self.what, *numbers, bound, "yes" if self.met else "NO")


@dataclass(frozen=True)
class Circumstances:
    """What a table's numbers depend on. command: how to run the bench again. date: of the run's end, UTC."""

    command: str
    machine: str
    date: str
    versions: str


def describe_machine() -> str:
    """The processor's name, where the system tells it, and the number of cores."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(": ")[2] for line in info.read_text("utf-8").splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def describe_versions() -> str:
    """Python's version and those of `PACKAGES`, as `name version`."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def circumstances_now(argv: Sequence[str]) -> Circumstances:
    """Those of this process. argv: its command line, the module's file first."""
    # Where the JSON went says nothing about the numbers.
    kept = [word for n, word in enumerate(argv[1:], start=1) if word != "--json" and argv[n - 1] != "--json"]
    command = shlex.join(["python", "-m", f"bench.{Path(argv[0]).stem}", *kept])
    return Circumstances(command, describe_machine(), f"{datetime.now(UTC):%Y-%m-%d}", describe_versions())


def render_section(title: str, rows: Sequence[Row], notes: Sequence[str], found: Circumstances) -> str:
    """The section of a bench in Markdown: title, circumstances, table, and the notes as a list."""
    table = [COLUMNS, ("---",) * len(COLUMNS), *(row.cells() for row in rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table]
    lines = [
        f"## {title}",
        "",
        f"`{found.command}`",
        "",
        f"{found.machine}; {found.date}; {found.versions}.",
        "",
        *lines,
    ]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines)


def replace_section(page: str, name: str, section: str) -> str:
    """The page with the section of bench `name` replaced, or added at the end; all other text stays as it is.

    Raises `ValueError` where the page has only one of the section's two marks.
    """
    start, end = f"<!-- bench {name} -->", f"<!-- end of bench {name} -->"
    block = f"{start}\n{section}\n{end}"
    if start not in page and end not in page:
        return f"{page.rstrip()}\n\n{block}\n"
    before, found_start, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not found_start or not found_end:
        raise ValueError(f"The section of bench {name} is not closed: {start} must stand before {end}.")
    return f"{before}{block}{after}"


def finish(title: str, rows: Sequence[Row], json_path: str | None, notes: Sequence[str] = ()) -> None:
    """Prints the table, writes it as JSON where a path is given, and as the bench's section of docs/benchmarks.md.

    notes: sentences with figures that are no comparison, printed and kept below the table.
    """
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    print(f"\n{title}")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for note in notes:
        print(note)
    found = circumstances_now(sys.argv)
    if json_path:
        table = [{**row.__dict__, "ratio": row.ratio, "met": row.met} for row in rows]
        content = {"title": title, **found.__dict__, "rows": table, "notes": list(notes)}
        write_whole(json_path, (json.dumps(content, indent=1) + "\n").encode())
    section = render_section(title, rows, notes, found)
    write_whole(str(PAGE), replace_section(PAGE.read_text("utf-8"), Path(sys.argv[0]).stem, section).encode())
