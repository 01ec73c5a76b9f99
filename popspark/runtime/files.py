"""Files written whole or not at all, on disks and stores alike: what stands beside tables, as reports and records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs


def replace_file(fs: Any, source: str, target: str) -> None:
    """One rename onto the old file; where a file system does not rename onto a file (HDFS), the old one goes first."""
    try:
        fs.mv(source, target)
    except OSError:
        if not (fs.exists(source) and fs.exists(target)):
            raise
        fs.rm_file(target)
        fs.mv(source, target)


def exists(path: str | None) -> bool:
    """Whether a file is there; true for none."""
    if path is None:
        return True
    fs, target = url_to_fs(path)
    return bool(fs.exists(target))


def write_whole(path: str | Path, content: bytes) -> None:
    """A file that appears at once with all its content, in place of an older one."""
    fs, target = url_to_fs(path)
    parent, _, name = target.rpartition("/")
    written = f"{parent}/_writing-{name}"
    fs.makedirs(parent, exist_ok=True)
    try:
        fs.pipe_file(written, content)
        replace_file(fs, written, target)
    except OSError:
        if fs.exists(written):
            fs.rm_file(written)
        raise
