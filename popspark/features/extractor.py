"""Images to features in one pass, as it happens in one worker: plain Python, no Spark.

Each image is read and decoded once. Threads read a bounded number of images and bytes ahead; a thread decodes, computes
the classical families and prepares the crops of the deep ones; the caller's thread runs the deep families in full
batches. Only crops wait for it, so the memory does not depend on the images' sizes or number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from popspark.features.family import Batched, Calculate, Image
from popspark.images import decode as codecs
from popspark.images.isolation import Decode
from popspark.images.limits import DEFAULT_LIMITS, Limits
from popspark.images.references import Reference

Values = npt.NDArray[np.float32]


@dataclass
class Extracted:
    """Of one image: a status and its reason, and the values of each family that succeeded."""

    status: str = "ok"
    error: str | None = None
    values: dict[str, Values] = field(default_factory=dict)
    prepared: dict[str, Image] = field(default_factory=dict)

    def fail(self, status: str, error: str) -> None:
        """Notes the first thing that went wrong."""
        if self.status == "ok":
            self.status, self.error = status, error

    def keep(self, name: str, values: Values) -> None:
        """Keeps finite values; refuses others, which would poison every sum they meet."""
        if np.isfinite(values).all():
            self.values[name] = values
        else:
            self.fail("failed", f"{name}: {np.count_nonzero(~np.isfinite(values))} values are not finite")


READERS = 8
"""Threads that read: enough to hide a store's latency behind what is computed of an image."""
BYTES_AHEAD = 64 << 20
"""Of images that were read and are not decoded yet, beside the one that is."""


def map_ahead(
    items: Iterable[Any],
    function: Callable[[Any], Any],
    n_threads: int,
    depth: int,
    weigh: Callable[[Any], int] = lambda item: 0,
    max_weight: int = 0,
) -> Iterator[Any]:
    """`map(function, items)` in order, computed at most `depth` items, and `max_weight` of what they weigh, ahead."""
    pending: deque[tuple[Future[Any], int]] = deque()
    ahead = 0
    with ThreadPoolExecutor(n_threads) as pool:
        for item in items:
            weight = weigh(item)
            while pending and (len(pending) >= depth or ahead + weight > max_weight):
                future, lighter = pending.popleft()
                yield future.result()
                ahead -= lighter
            pending.append((pool.submit(function, item), weight))
            ahead += weight
        while pending:
            yield pending.popleft()[0].result()


def _n_bytes(item: tuple[Reference, Future[bytes]]) -> int:
    return item[0].n_bytes or 0


class Extractor:
    """All planned families of an image in one pass."""

    def __init__(
        self,
        calculates: Mapping[str, Calculate],
        batch_size: int,
        limits: Limits = DEFAULT_LIMITS,
        decode: Decode = codecs.decode,
        n_threads: int = 1,
    ) -> None:
        self._batched = {name: c for name, c in calculates.items() if isinstance(c, Batched)}
        self._calculates = dict(calculates)
        self._batch_size, self._limits, self._decode, self._n_threads = batch_size, limits, decode, n_threads

    def extract(self, images: Iterable[Reference]) -> Iterator[Extracted]:
        """One `Extracted` per image, in order."""
        depth = 2 * self._batch_size
        with ThreadPoolExecutor(READERS) as readers:
            read = ((one, readers.submit(one.read, self._limits)) for one in images)
            yield from self._finish(map_ahead(read, self._prepare, self._n_threads, depth, _n_bytes, BYTES_AHEAD))

    def _finish(self, prepared: Iterator[Extracted]) -> Iterator[Extracted]:
        while batch := list(islice(prepared, self._batch_size)):
            for name, calculate in self._batched.items():
                ready = [row for row in batch if name in row.prepared]
                if ready:
                    for row, values in zip(ready, calculate.forward([r.prepared[name] for r in ready]), strict=True):
                        row.keep(name, values)
            yield from batch

    def _prepare(self, item: tuple[Reference, Future[bytes]]) -> Extracted:
        row = Extracted()
        try:
            image = self._decode(item[1].result(), self._limits)
        except codecs.ImageRefused as refusal:
            row.fail(refusal.status, str(refusal))
            return row
        for name, calculate in self._calculates.items():
            try:
                if name in self._batched:
                    row.prepared[name] = self._batched[name].prepare(image)
                else:
                    row.keep(name, calculate([image])[0])
            except Exception as error:  # one image must not end the job; the row says what happened
                row.fail("failed", f"{name}: {type(error).__name__}: {error}")
        return row
