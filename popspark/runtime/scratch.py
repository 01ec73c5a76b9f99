"""Folders that last as long as the process."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from shutil import rmtree


def scratch_folder() -> Path:
    """A new folder on this machine, for files that are sent to workers; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="popspark-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    return folder
