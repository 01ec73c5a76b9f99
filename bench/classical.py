"""The classical families on one core, and what the reduced decode of a large JPEG gains and moves.

Parts of extraction.py.

Reads: ../shared/data/photos where present, else sample/photos. The 12-megapixel JPEGs are SIMULATED: real photographs,
enlarged, with noise like a sensor's.

References, timed in the same run on the same files:
- every family by itself, decoding each time: color by OpenCV, lbp by scikit-image, gist and the sharpness map of
  aesthetic by the literal versions of bench/references (numpy, filters kept between images), the rest of aesthetic by
  popspark;
- decoding a JPEG in full and resizing it by area to the size that the reduced decode gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from skimage.feature import local_binary_pattern
from threadpoolctl import threadpool_limits

from bench.references import gist as literal_gist
from bench.references.subject_region import sharpness, shifted_window_sums
from bench.table import Row
from popspark.features.families import aesthetic, color, lbp
from popspark.features.families._subject_region import region
from popspark.features.family import Calculate
from popspark.features.registry import get_family
from popspark.images.decode import decode

FAMILIES = ("color", "lbp", "gist", "aesthetic")
REPEATS = 3
ROOT = Path(__file__).resolve().parents[1]


class Effect(NamedTuple):
    """What the reduced decode moves in a family, over images: against the values of the full decode."""

    family: str
    max_abs: float
    mean_cosine: float
    min_cosine: float


def read_photographs(n_images: int) -> list[bytes]:
    """The first `n_images` JPEGs by name; fewer where there are fewer."""
    shared = ROOT.parent / "shared" / "data" / "photos"
    folder = shared if shared.is_dir() else ROOT / "sample" / "photos"
    return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:n_images]]


def make_12_megapixels(contents: Sequence[bytes]) -> list[bytes]:
    """Photographs enlarged to 4000 x 3000, with noise of 3 grey levels, as JPEGs of quality 90."""
    rng = np.random.default_rng(12)
    large = []
    for content in contents:
        image = cv2.resize(decode(content), (4000, 3000), interpolation=cv2.INTER_CUBIC)
        noisy = image + rng.normal(0, 3, image.shape).astype(np.float32)
        buffer = BytesIO()
        Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        large.append(buffer.getvalue())
    return large


@contextmanager
def one_thread() -> Iterator[None]:
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        yield
    cv2.setNumThreads(n_threads)


def _full_decode(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def _images_per_second(work: Callable[[bytes], object], contents: Sequence[bytes]) -> float:
    """The best of `REPEATS` passes."""
    work(contents[0])
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for content in contents:
            work(content)
        seconds.append(time.perf_counter() - start)
    return len(contents) / min(seconds)


def _literal_aesthetic(image: np.ndarray) -> list[float]:
    working = aesthetic.working_image(image)
    grey = cv2.cvtColor(working, cv2.COLOR_RGB2GRAY)
    sharp = sharpness(grey, shifted_window_sums) > 0
    box = region(sharp)
    channels = (*cv2.split(working), *cv2.split(cv2.cvtColor(working, cv2.COLOR_RGB2LAB)))
    return [
        aesthetic.clarity_contrast(grey, box),
        aesthetic.hue_count(working),
        aesthetic.brightness_contrast(grey, box),
        *(aesthetic.entropy(channel) for channel in channels),
        aesthetic.composition(sharp),
        aesthetic.background_simplicity(working, box),
    ]


def reference_families() -> dict[str, Callable[[np.ndarray], object]]:
    """Each family as its public library, or its definition, has it: one image to its values."""
    filters = literal_gist.create_gabor()
    by_opencv = color.load()

    def by_scikit_image(image: np.ndarray) -> np.ndarray:
        labels = local_binary_pattern(lbp.working_grey(image), 8, 1, method="nri_uniform")
        return np.histogram(labels, bins=59, range=(0, 59))[0] / labels.size

    return {
        "color": lambda image: by_opencv([image]),
        "lbp": by_scikit_image,
        "gist": lambda image: literal_gist.gist(image, filters),
        "aesthetic": _literal_aesthetic,
    }


def classical_rows(contents: Sequence[bytes]) -> list[Row]:
    """All classical families of one decode, against each by itself with a decode of its own."""
    ours = {name: get_family(name).load() for name in FAMILIES}
    references = reference_families()

    def in_one_pass(content: bytes) -> None:
        image = decode(content)
        for calculate in ours.values():
            calculate([image])

    def one_after_the_other(content: bytes) -> None:
        for calculate in references.values():
            calculate(_full_decode(content))

    with one_thread():
        measured, reference = (_images_per_second(work, contents) for work in (in_one_pass, one_after_the_other))
    return [Row("all classical families, per core", measured, reference, "images/s", 5.0, at_least=True)]


def reduced_decode_rows(large: Sequence[bytes]) -> list[Row]:
    """The reduced decode of 12-megapixel JPEGs, against a full decode resized to the same size."""
    height, width = decode(large[0]).shape[:2]

    def full_then_resize(content: bytes) -> None:
        cv2.resize(_full_decode(content), (width, height), interpolation=cv2.INTER_AREA)

    with one_thread():
        measured, reference = (_images_per_second(work, large) for work in (decode, full_then_resize))
    return [Row("12-megapixel JPEG, reduced decode", measured, reference, "images/s", 3.0, at_least=True)]


def reduced_decode_effects(large: Sequence[bytes], calculates: Mapping[str, Calculate]) -> list[Effect]:
    """How far the reduced decode moves each family from its values on the full picture."""
    effects = []
    for name, calculate in calculates.items():
        reduced = np.concatenate([calculate([decode(content)]) for content in large]).astype(np.float64)
        full = np.concatenate([calculate([decode(content, reduced_side_px=None)]) for content in large])
        cosine = (reduced * full).sum(axis=1) / np.linalg.norm(reduced, axis=1) / np.linalg.norm(full, axis=1)
        effects.append(Effect(name, float(np.abs(reduced - full).max()), float(cosine.mean()), float(cosine.min())))
    return effects
