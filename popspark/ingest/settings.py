"""The kinds of export that can be read. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

Origin = Literal["smp_t1", "smpd", "x_api", "flickr", "instagram", "csv", "parquet"]
MAPPED: tuple[Origin, ...] = ("csv", "parquet")
"""Those whose columns a mapping names."""
