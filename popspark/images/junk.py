"""Files that stand beside photographs and are none, by their names: hidden ones, those of NAS and phones, videos."""

from __future__ import annotations

from pathlib import PurePosixPath

JUNK_FOLDERS = frozenset(
    ("@eadir", "__macosx", "#recycle", "@recycle", "@recently-snapshot", "$recycle.bin", "system volume information")
)
JUNK_FILES = frozenset(("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"))
SIDECARS = (".aae", ".xmp", ".thm", ".pp3", ".dop")
"""What was done to a photograph, beside it."""
VIDEOS = (".mov", ".mp4", ".m4v", ".avi", ".3gp", ".mts", ".m2ts", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg")
JUNK_SUFFIXES = frozenset((*SIDECARS, *VIDEOS))


def junk_kind(name: str) -> str | None:
    """What a file or folder is called that is no photograph by its name; None of any other."""
    folded = name.casefold()
    if name.startswith("."):
        return "hidden"
    if folded in JUNK_FOLDERS:
        return f"in {name}"
    if folded in JUNK_FILES:
        return name.rstrip()
    suffix = PurePosixPath(folded).suffix
    return suffix if suffix in JUNK_SUFFIXES else None
