"""Results of a study to the facts that its report is made from."""

from __future__ import annotations

import pyarrow.parquet as pq

from popspark.evaluation.metrics import Estimate
from popspark.study.cells import Cell
from popspark.study.correlations import correlations, popular_shares, read_social
from popspark.study.facts import CellFacts, Predictions, StudyFacts
from popspark.study.feature_sets import CLASSICAL
from popspark.study.run import StudyResults
from popspark.study.settings import StudySettings
from popspark.training.examples import find_examples

N_CORRELATED = 10
"""The user's and the post's values: tables I and II."""


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
            by_name.get(cell.name, []),
        )
        for cell in (main, *others)
    ]
    predictions = {}
    for result in results.main:
        if result == cells[0].best(result.model):
            table = pq.read_table(result.folder / "test.parquet")
            columns = [table[name].to_numpy(zero_copy_only=False) for name in ("post_id", "label", "predicted")]
            predictions[result.model] = Predictions(*columns)
    examples = find_examples(main.examples)
    users, labels, social = read_social(examples.all)
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
        variants=results.variants,
        chosen=results.chosen,
        predictions=predictions,
        train_labels=read_social(examples.by_split["train"])[1],
    )
