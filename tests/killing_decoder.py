"""A decode function that a fresh process can import, and that dies for certain contents as a broken codec would."""

from __future__ import annotations

import os
import signal

import numpy as np
import numpy.typing as npt

from popspark.images.decode import ImageRefused
from popspark.images.limits import Limits


def decode(content: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
    """One pixel that says what was given; `kill` dies by signal, `exit` leaves, `refuse` is refused."""
    if content == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if content == b"exit":
        os._exit(0)
    if content == b"refuse":
        raise ImageRefused("too_large", f"the limit is {limits.max_bytes}")
    return np.full((1, 1, 3), content[0], np.uint8)
