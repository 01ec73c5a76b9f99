"""Results of a study to the facts that its report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from popspark.evaluation.metrics import Estimate
from popspark.study.cells import Cell
from popspark.study.correlations import correlations, popular_shares, read_social
from popspark.study.facts import CellFacts, Predictions, Result, StudyFacts
from popspark.study.feature_sets import CLASSICAL
from popspark.study.run import StudyResults
from popspark.study.settings import StudySettings

N_CORRELATED = 10
"""The user's and the post's values: tables I and II."""


def _estimates(found: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(one["value"], one["low"], one["high"]) for name, one in found.items()}


def to_result(kept: Mapping[str, Any]) -> Result:
    """kept: what `run_fit` returned."""
    return Result(
        model=kept["model"],
        features="+".join(kept["features"]),
        used=kept["used"],
        n_train=kept["n_train"],
        n_test=kept["n_test"],
        seconds=kept["seconds"],
        valid=_estimates(kept["valid"]),
        test=_estimates(kept["test"]),
        within_users=_estimates(kept["within_users"]),
        n_users=kept["within_users"]["spearman_rho"]["n_users"],
        curves=kept.get("curves", ()),
        initialisation=kept["initialisation"],
        scale_first=kept.get("scale_first"),
    )


def gather_facts(main: Cell, others: list[Cell], results: StudyResults, settings: StudySettings) -> StudyFacts:
    """main, others: the cells that gave `results`."""
    assert main.record is not None
    by_name = {main.name: results.main, **results.others}
    cells = [
        CellFacts(
            cell.strategy,
            cell.mode,
            cell.refused,
            cell.record.splits if cell.record else {},
            cell.record.rows if cell.record else {},
            [to_result(kept) for kept in by_name.get(cell.name, [])],
        )
        for cell in (main, *others)
    ]
    predictions = {}
    for kept in results.main:
        best = cells[0].best(kept["model"])
        if best and best.features == "+".join(kept["features"]):
            table = pq.read_table(Path(kept["folder"]) / "test.parquet")
            columns = [table[name].to_numpy(zero_copy_only=False) for name in ("post_id", "label", "predicted")]
            predictions[kept["model"]] = Predictions(*columns)
    users, labels, social = read_social(main.examples)
    names = main.record.social.names
    no_images = {} if "visual" in results.sets else dict.fromkeys(["visual"], "the examples have no visual values")
    absent = {name: "this family was not extracted" for name in [*CLASSICAL, "deep"] if name not in results.sets}
    return StudyFacts(
        is_simulated=main.record.is_simulated,
        families=main.record.features,
        label_rule=main.record.label.rule,
        main=cells[0],
        cells=cells,
        sets={name: (one.title, one.n_components, one.dim) for name, one in results.sets.items()},
        absent={**absent, **no_images},
        correlations={
            name: Estimate(**found)
            for name, found in correlations(social, labels, names[:N_CORRELATED], settings.n_resamples).items()
        },
        shares=popular_shares(users, labels, social[:, names.index("user_mean_views")]),
        variants=[to_result(kept) for kept in results.variants],
        choice=results.choice,
        predictions=predictions,
        train_labels=read_social(main.examples / "split=train")[1],
    )
