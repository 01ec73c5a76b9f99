"""A ranker's report: one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import popspark
from popspark.report.figures import data_uri
from popspark.report.page import render_page
from popspark.storage.examples import PairExamplesRecord
from popspark.training.ranker.facts import RankerFacts
from popspark.training.ranker.figures import fit_curves, reliability


def write_ranker_report(
    path: Path,
    facts: RankerFacts,
    record: PairExamplesRecord,
    name: str,
    version: str,
    settings: Mapping[str, Any],
    stages: Mapping[str, float],
) -> None:
    """Writes the page. record: of the pair examples; settings: of the ranker; stages: seconds by name."""
    page = render_page(
        __package__,
        "ranker.html",
        title=f"Ranker {name} {version}",
        facts=facts,
        record=record,
        settings=settings,
        stages=stages,
        curves=data_uri(fit_curves(facts.curves), "image/png"),
        reliability=data_uri(reliability(facts.bins), "image/png"),
        version=popspark.__version__,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")
