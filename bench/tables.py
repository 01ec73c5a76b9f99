"""Images tables for the benches: files in a folder, and their index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def index_contents(spark: Any, contents: Sequence[bytes], n_images: int, n_tasks: int, work: Path) -> str:
    """The path of an images table of that many files with the contents in turn, in as many files as tasks read it."""
    from popspark.images.index import index_images, list_images
    from popspark.images.limits import Limits

    folder, path = work / f"photographs{n_images}", str(work / f"images{n_images}")
    if not folder.is_dir():
        folder.mkdir()
        for n in range(n_images):
            (folder / f"{n:06}.jpg").write_bytes(contents[n % len(contents)])
    index = index_images(*list_images(spark, str(folder)), Limits())
    index.repartition(n_tasks).write.mode("overwrite").parquet(path)
    return path
