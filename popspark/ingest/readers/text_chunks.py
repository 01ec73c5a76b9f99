"""What the record readers read from: text in pieces, as `popspark.ingest.readers.streams` opens it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

CHUNK_BYTES = 1 << 20
MAX_RECORD_CHARS = 256 * 1024 * 1024
"""A record longer than this is cut: it is a file without separators, not a post."""


class TextChunks(Protocol):
    """Text in pieces."""

    def chunk(self) -> str:
        """The next piece, empty at the end."""

    def peek(self) -> str:
        """The start of what follows, some thousand characters where there are; `chunk` returns it again."""

    def separated(self, separator: str) -> Iterator[str]:
        """What stands between separators."""
