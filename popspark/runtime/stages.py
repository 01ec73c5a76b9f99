"""Seconds per stage of a job, and a line of progress as each one ends."""

from __future__ import annotations

import logging
import time

LOG = logging.getLogger(__name__)


class Stages:
    """A stopwatch of a job, which starts when it is made. seconds: by stage, in the order in which they ended."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def done(self, name: str) -> None:
        """Ends the stage of that name, says so in the log, and starts the next."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
        LOG.info(name, extra={"stage": name, "seconds": round(self.seconds[name], 3), "elapsed_s": self.total})

    @property
    def total(self) -> float:
        return sum(self.seconds.values())
