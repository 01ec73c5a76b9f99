"""The entry of `popspark score-posts` with a decoder that dies on some images: submitted by `bench.faults.nights`."""

from __future__ import annotations

from functools import partial

from bench.faults.deadly_decoder import decode_or_die
from popspark.cli import main
from popspark.features import extraction

if __name__ == "__main__":
    extraction.Extraction = partial(extraction.Extraction, decode=decode_or_die)  # type: ignore[misc,assignment]
    main("score-posts")
