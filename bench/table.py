"""The table that every bench ends with: what, measured, reference, ratio, target, met; as text and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path


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


def describe_machine() -> str:
    """The processor's name, where the system tells it, and the number of cores."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def finish(title: str, rows: list[Row], json_path: str | None) -> None:
    """Prints the table and writes it as JSON where a path is given."""
    cells = [("what", "measured", "reference", "ratio", "target", "met")]
    for row in rows:
        bound = f"{'>=' if row.at_least else '<='} {row.target:g}"
        numbers = f"{row.measured:.4g} {row.unit}", f"{row.reference:.4g} {row.unit}", f"{row.ratio:.3g}"
        cells.append((row.what, *numbers, bound, "yes" if row.met else "NO"))
    widths = [max(len(line[i]) for line in cells) for i in range(6)]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if json_path:
        table = [{**row.__dict__, "ratio": row.ratio, "met": row.met} for row in rows]
        Path(json_path).parent.mkdir(parents=True, exist_ok=True)
        found = {"title": title, "machine": describe_machine(), "rows": table}
        Path(json_path).write_text(json.dumps(found, indent=1) + "\n")
