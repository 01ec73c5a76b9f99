"""What stood at a path when it was read: the version of a Delta table, a digest of other files."""

from __future__ import annotations

import hashlib

from fsspec.core import url_to_fs

from popspark.storage.delta import is_begun, locate_folder, read_version
from popspark.storage.warehouse import CATALOG


def snapshot(path: str) -> str | None:
    """`version 3 of ID` of a Delta table; of other files a digest of names, sizes and times.

    The same while nothing there is written. None where there are none that can be listed, as of a table of the catalog.
    """
    if path.startswith(CATALOG):
        return None
    try:
        if version := read_version(path):
            return f"version {version.number} of {version.table_id}"
        if is_begun(locate_folder(path)):
            return None
        fs, root = url_to_fs(path)
        found = fs.find(root, detail=True)
    except Exception:  # Spark may reach what this process does not, and each file system has errors of its own
        return None
    times = ("mtime", "LastModified", "last_modified", "updated", "ETag")
    files = [
        (name, about["size"], [str(about.get(key)) for key in times])
        for name, about in sorted(found.items())
        if not name.rpartition("/")[2].startswith(("_", "."))
    ]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16] if files else None
