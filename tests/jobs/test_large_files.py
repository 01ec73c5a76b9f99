"""A folder with more bytes than Java's heap passes the main jobs: workers read the images."""

from __future__ import annotations

from pathlib import Path

from popspark.storage.arrow import read_arrow
from tests.jobs.conftest import ROOT, Submit

N_IMAGES, N_BYTES = 50, 15_000_000


def test_a_folder_larger_than_the_heap_is_indexed_and_scored(submit: Submit, tmp_path: Path) -> None:
    """750 MB of photographs, and a heap of 512 MB. What follows a JPEG's end is not decoded."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    photographs = sorted((ROOT / "sample" / "photos").glob("*.jpg"))
    for n in range(N_IMAGES):
        content = photographs[n].read_bytes()
        with (folder / f"{n}.jpg").open("wb") as stream:
            stream.write(content)
            stream.truncate(N_BYTES)
    small = ("--driver-memory", "512m")
    submit("ingest_images", f"env.warehouse={tmp_path}", f"source={folder}", options=small)
    bundle = f"bundle={ROOT}/models/demo-vscnn"
    submit("score_posts", f"env.warehouse={tmp_path}", bundle, "posts=null", options=small)
    assert set(read_arrow(f"{tmp_path}/images").column("n_bytes").to_pylist()) == {N_BYTES}
    statuses = read_arrow(f"{tmp_path}/scores").column("status").to_pylist()
    assert statuses == ["ok"] * N_IMAGES
