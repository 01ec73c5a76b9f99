"""jobs/score_posts.py with a decoder that dies on some images: submitted by `bench.nights`."""

from __future__ import annotations

from functools import partial

from bench.deadly_decoder import decode_or_die
from popspark.features.extraction import Extraction
from popspark.jobs import score_posts
from popspark.runtime.command import run

score_posts.Extraction = partial(Extraction, decode=decode_or_die)  # type: ignore[misc,assignment]
run(score_posts.__file__, score_posts.__doc__, score_posts.Config, score_posts.main)
