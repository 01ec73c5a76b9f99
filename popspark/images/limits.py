"""Limits of decoding. Nothing heavy is imported here: the command line reads them for its help."""

from __future__ import annotations

from pydantic import Field

from popspark.runtime.config import Section


class Limits(Section):
    """What a file may be at most to be decoded; a larger one is refused, with a status."""

    max_bytes: int = Field(default=50_000_000, gt=0)
    """The largest file that is read, in bytes."""
    max_pixels: int = Field(default=50_000_000, gt=0)
    """Width times height, as the file's header states them. Pillow has a limit of its own, 178,956,970 pixels, which
    a larger number here does not lift."""
    max_scans: int = Field(default=100, gt=0)
    """Scans of a JPEG, each of which goes over the whole picture: cameras and web sites write one to twelve, and a
    small file can hold hundreds."""


DEFAULT_LIMITS = Limits()
