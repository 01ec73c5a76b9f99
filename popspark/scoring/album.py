"""Which of these photographs: an album in the order of a ranker's scores. Plain Python, no Spark."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from popspark.features.extractor import Extractor
from popspark.features.plan import PlannedFamily
from popspark.images.decode import ImageRefused, decode
from popspark.images.limits import Limits
from popspark.images.listing import Files
from popspark.images.references import Reference
from popspark.models.bundle import Bundle
from popspark.models.predictor import Predictor
from popspark.networks.devices import choose_device
from popspark.report.figures import thumbnail
from popspark.runtime.errors import BundleError


@dataclass(frozen=True)
class Ranked:
    """An image of an album. rank: 1 is the best. path: for people, see `popspark.images.listing`.

    beats_next: the probability that it does better than the next one, None for the last.
    """

    rank: int
    path: str
    image: Reference
    score: float
    percentile: float
    beats_next: float | None


@dataclass(frozen=True)
class Album:
    """ranked: in order. refused: path, status and reason of files that are no images."""

    ranked: Sequence[Ranked]
    refused: Sequence[tuple[str, str, str]]

    def to_csv(self) -> str:
        """One line per image: place, path, score, percentile, beats_next."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["place", "path", "score", "percentile", "beats_next"])
        for one in self.ranked:
            last = "" if one.beats_next is None else f"{one.beats_next:.4f}"
            writer.writerow([one.rank, one.path, f"{one.score:.6f}", f"{one.percentile:.2f}", last])
        return stream.getvalue()


def beats(score: float, other: float) -> float:
    """The probability that the image of `score` does better than the other one: sigmoid of the difference."""
    difference = score - other
    return 1 / (1 + math.exp(-difference)) if difference > -700 else 0.0


def rank_album(
    files: Files,
    bundle: Bundle,
    planned: tuple[PlannedFamily, ...],
    device: str,
    batch_size: int,
    limits: Limits,
) -> Album:
    """Scores every file with the bundle and orders them; equal scores stay in the order of the names.

    Raises `BundleError` for a bundle that is no ranker: differences of its scores are no log odds.
    """
    if bundle.manifest["kind"] != "ranker":
        raise BundleError(
            f"Bundle {bundle.name} {bundle.version} is no ranker.", got=bundle.manifest["kind"], legal="ranker",
            fix="train one with popspark train-ranker; popspark score-posts runs any bundle",
        )  # fmt: skip
    import torch

    on = choose_device(device, None, None, torch.cuda.device_count())
    extractor = Extractor({p.name: p.load(on, p.weights_path) for p in planned}, batch_size, limits)
    predictor = Predictor(bundle)
    entries = sorted(files.entries, key=lambda entry: entry.image_id)
    refused = [(files.path_of(one), one.status or "", one.error or "") for one in entries if one.uri is None]
    images = {files.path_of(one): Reference(one.uri, n_bytes=one.n_bytes) for one in entries if one.uri is not None}
    kept, projections = [], []
    for name, found in zip(images, extractor.extract(images.values()), strict=True):
        if found.status != "ok":
            refused.append((name, found.status, found.error or ""))
            continue
        kept.append(name)
        projections.append(sum(predictor.project(p.name, found.values[p.name][None]) for p in planned))
    if not kept:
        return Album([], refused)
    scores = predictor.score(np.concatenate(projections), np.empty((len(kept), 0)))
    percentiles = bundle.percentile(scores)
    order = np.argsort(-scores, kind="stable")
    following = [*(float(scores[i]) for i in order[1:]), None]
    ranked = []
    for rank, (i, after) in enumerate(zip(order, following, strict=True), 1):
        beats_next = None if after is None else beats(scores[i], after)
        image = images[kept[i]]
        ranked.append(Ranked(rank, kept[i], image, float(scores[i]), float(percentiles[i]), beats_next))
    return Album(ranked, refused)


def small_image(image: Reference, limits: Limits) -> str | None:
    """A data URI of a small JPEG; None where the file was changed since it was ranked."""
    try:
        return thumbnail(decode(image.read(limits), limits))
    except ImageRefused:
        return None
