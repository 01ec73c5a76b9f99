"""What `popspark.ingest.validation` finds in an export, on a page of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popspark.ingest.accounting import OF_LABELS
from popspark.ingest.validation import Findings, Rejection

LABEL_INPUTS = {
    "flickr_views": ("n_views", "posted_at", "collected_at"),
    "twitter": ("n_shares", "n_likes"),
    "given": ("popularity",),
}
"""What a label rule must know of a post; the rules of one count need that."""


def as_page(found: Findings) -> str:
    """The page."""
    return "\n".join([*_of_rows(found), *_of_values(found), *_of_labels(found), *_of_images(found)])


def _share(n: int, of: int) -> str:
    return f"{n:>12,}  {n / of:>6.1%}" if of else f"{n:>12,}       -"


def _cells(values: Sequence[Any]) -> str:
    return "".join(f"{value:>12,.6g}" for value in values)


def _name(file: str) -> str:
    return file.rsplit("/", 1)[-1]


def _reject(rejection: Rejection, of: int) -> str:
    positions = ", ".join(f"{_name(file)}:{line}" for file, line in rejection.positions)
    more = ", ..." if rejection.n > len(rejection.positions) else ""
    return f"  {rejection.reason:<28}{_share(rejection.n, of)}  {positions}{more}"


def _of_rows(found: Findings) -> list[str]:
    lines = ["Files"]
    lines += [f"  {'read' if is_read else 'left out':<9} {name}" for name, is_read in found.files]
    lines += [
        "",
        "Rows",
        f"  {'in the export':<28}{found.n_rows:>12,}",
        f"  {'can be posts':<28}{_share(found.n_posts, found.n_rows)}",
        f"  {'rejected':<28}{_share(found.n_rows - found.n_posts, found.n_rows)}",
        f"  {'users':<28}{found.n_users:>12,}",
        f"  posted from {found.first_posted_at or 'unknown'} to {found.last_posted_at or 'unknown'} (UTC)",
    ]
    rejections = [one for one in found.rejections if one.reason not in OF_LABELS]
    if rejections:
        lines += ["", "Rejected rows, with the first positions (file:line)"]
        lines += [_reject(one, found.n_rows) for one in rejections]
    return lines


def _of_values(found: Findings) -> list[str]:
    lines = ["", "Missing fields (of the rows that can be posts)"]
    missing = {name: found.n_posts - n for name, n in found.n_known.items()}
    lines += [f"  {name:<28}{_share(n, found.n_posts)}" for name, n in missing.items() if 0 < n < found.n_posts]
    absent = [name for name, n in missing.items() if n == found.n_posts]
    complete = [name for name, n in missing.items() if n == 0]
    lines += [f"  in no row: {', '.join(absent) or 'none'}", f"  in every row: {', '.join(complete) or 'none'}"]
    heads = "".join(f"{name:>12}" for name in ("least", "25%", "median", "75%", "99%", "most"))
    lines += ["", f"Counts{'':<24}{heads}"]
    lines += [f"  {name:<28}{_cells(values)}" for name, values in found.quantiles.items()]
    lines += ["", "Odd, but read"]
    lines += [f"  {name:<48}{_share(n, found.n_posts)}" for name, n in found.odd.items()]
    for one in found.undecodable:
        guess = f": as cp1252 it would be {one.sample!r}" if one.sample else ""
        lines.append(f"  {f'text that could not be decoded in {_name(one.file)}':<48}{_share(one.n, found.n_posts)}")
        lines.append(f"    first in line {one.line}{guess}")
    return lines if found.odd or found.undecodable else [*lines, "  nothing"]


def _of_labels(found: Findings) -> list[str]:
    lines = ["", "Labels, by label.rule"]
    for rule, statuses in found.labels.items():
        n = statuses.get("ok", 0) + statuses.get("zero_views_as_one", 0)
        inputs = LABEL_INPUTS.get(rule, (rule.removeprefix("count of "),))
        lacking = [name for name in inputs if not found.n_known[name]]
        others = [f"{status} {count:,}" for status, count in statuses.items() if status != "ok"]
        verdict = f"{n:,} of {found.n_posts:,}{': ' if others else ''}{', '.join(others)}"
        if lacking:
            verdict = f"none, {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"
        lines.append(f"  {rule:<28}{verdict}")
    n_given = found.n_known["popularity"]
    lines += [_reject(one, one.n + n_given) for one in found.rejections if one.reason in OF_LABELS]
    return lines


def _of_images(found: Findings) -> list[str]:
    n_named = found.n_known["image_id"]
    lines = ["", "Images", f"  {'named by a post':<28}{_share(n_named, found.n_posts)}"]
    if found.n_images_missing is not None:
        lines.append(f"  {'there, of those':<28}{_share(n_named - found.n_images_missing, n_named)}")
        lines += [f"    {name}: {error}" for name, error in found.missing_images]
        lines += ["    ..."] if found.n_images_missing > len(found.missing_images) else []
    return lines
