"""Puts the photographs of a folder in the order in which a ranker would post them. No Spark.

    popspark rank-album source=~/Pictures/2024 bundle=models/mine
    popspark rank-album source='trip/*.jpg' bundle=models/mine album=trip/order

Reads: a folder, or a glob, of photographs; a ranker's bundle.
Writes: <album>.csv and <album>.html, the same order with thumbnails.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import PositiveInt

from popspark.images.limits import Limits
from popspark.networks.devices import Device
from popspark.runtime.config import JobConfig

N_IMAGES, N_PRINTED = 500, 20


class Config(JobConfig):
    """A folder of photographs and a ranker."""

    source: str
    """A folder of photographs, or a glob."""
    bundle: str = "${env.warehouse}/models/ranker"
    """A ranker: a folder or a zip."""
    album: str = "${env.warehouse}/album"
    """The path of what is written, without its ending."""
    device: Device = "auto"
    """Where deep families run; auto: the GPU where there is one."""
    batch_size: PositiveInt = 16
    """Images a forward pass, at most."""
    weights: dict[str, str] = {}
    """Weights of deep families, by family: imagenet (where none is named), the path of a .pth or .safetensors file, or
    random."""
    limits: Limits = Limits()
    """Limits of the files that are decoded."""


def main(config: Config) -> None:
    from popspark.features.plan import plan_bundle
    from popspark.images.listing import as_text, find_files, to_bytes
    from popspark.models.bundle import load_bundle
    from popspark.report.page import render_page
    from popspark.runtime.files import write_whole
    from popspark.scoring.album import rank_album, small_image

    bundle = load_bundle(Path(config.bundle))
    planned = plan_bundle(bundle, config.device, config.batch_size, config.weights)
    files = find_files(config.source, follow_links=True)
    album = rank_album(files, bundle, planned, config.device, config.batch_size, config.limits)
    thumbnails = [(one, small_image(one.image, config.limits)) for one in album.ranked[:N_IMAGES]]
    page = render_page(
        "popspark.scoring",
        "album.html",
        title=f"Album {as_text(to_bytes(config.source)).rstrip('/').rpartition('/')[2]}",
        manifest=bundle.manifest,
        album=album,
        thumbnails=thumbnails,
        random_families=bundle.random_families,
    )
    written = {f"{config.album}.csv": album.to_csv(), f"{config.album}.html": page}
    for path, text in written.items():
        write_whole(path, text.encode())

    print(f"{'place':>5}  {'score':>8}  {'beats the next':>14}  photograph")
    for one in album.ranked[:N_PRINTED]:
        last = "" if one.beats_next is None else f"{one.beats_next:.0%}"
        print(f"{one.rank:>5}  {one.score:>8.3f}  {last:>14}  {one.path}")
    if len(album.ranked) > N_PRINTED:
        print(f"  ... {len(album.ranked) - N_PRINTED} more")
    print(f"{len(album.ranked)} photographs ranked, {len(album.refused)} files refused", *written, sep="\n")
    if files.left_out:
        print(files)
