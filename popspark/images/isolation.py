"""Decoding in a child process, where a codec that crashes costs one image and not the worker.

Used only when a task is tried again: the first attempt decodes in the worker itself, which is faster. If that worker
dies, Spark retries the task, and the retry decodes here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from threading import Lock

import numpy as np
import numpy.typing as npt

from popspark.images.decode import ImageRefused
from popspark.images.limits import Limits

Decode = Callable[[bytes, Limits], npt.NDArray[np.uint8]]


class IsolatedDecode:
    """`decode`, in a child process that is replaced whenever it dies; the image that killed it is refused.

    decode: a function that a fresh process can import. One image at a time, from however many threads: a child that
    dies takes with it all that it was given.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._pool = self._new_pool()
        self._lock = Lock()

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def __call__(self, content: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
        with self._lock:
            try:
                return self._pool.submit(self._decode, content, limits).result()
            except BrokenProcessPool as error:
                self._pool.shutdown(wait=False)
                self._pool = self._new_pool()
                raise ImageRefused("decoder_crash", "the codec crashed its process") from error

    def close(self) -> None:
        """Ends the child process."""
        self._pool.shutdown()
