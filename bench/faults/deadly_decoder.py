"""A decoder that takes its process along on some images, as a broken codec would; a fresh process can import it."""

from __future__ import annotations

import os
import signal

import numpy as np
import numpy.typing as npt

from popspark.images import decode as codecs
from popspark.images.decode import Limits

DEADLY = b"deadly"


def decode_or_die(content: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
    """The real decoder, but for images that end in `DEADLY`: those kill their process; on executors."""
    if content.endswith(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)
    return codecs.decode(content, limits)
