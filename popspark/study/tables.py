"""The paper's tables from the facts: measured values with intervals, published ones in columns of their own."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from popspark.evaluation.metrics import Estimate
from popspark.study import published
from popspark.study.facts import METRIC_TITLES, MODE_TITLES, MODELS, CellFacts, FitResult, StudyFacts

TITLES = {
    "user_rank": "User id (rank by average views)",
    "user_mean_views": "Average views",
    "n_user_groups": "Group count",
    "user_mean_group_members": "Member count",
    "n_user_posts": "Image count",
    "n_hashtags": "Tag count",
    "n_title_chars": "Title length",
    "n_caption_chars": "Description length",
    "has_people": "Tagged people",
    "n_comments": "Comment count",
}


@dataclass(frozen=True)
class Entry:
    """A number of a table: what was measured, and what the paper states for it; either may be missing."""

    measured: Estimate | None = None
    published: float | None = None


@dataclass(frozen=True)
class Grid:
    """rows: labels, then one entry per column. columns have a part for published numbers where any has one."""

    caption: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Sequence[tuple[tuple[str, ...], Sequence[Entry]]]

    @property
    def with_published(self) -> tuple[bool, ...]:
        return tuple(any(row[1][i].published is not None for row in self.rows) for i in range(len(self.columns)))


@dataclass(frozen=True)
class StudyTable:
    """name: of its file. grids: shown one below the other."""

    name: str
    title: str
    note: str
    grids: Sequence[Grid]

    def to_csv(self) -> str:
        """One line per number: labels, column, measured with its interval, published."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["table", *self.grids[0].heads, "column", "measured", "low", "high", "published"])
        for grid in self.grids:
            for labels, entries in grid.rows:
                for column, entry in zip(grid.columns, entries, strict=True):
                    if entry.measured is None and entry.published is None:
                        continue
                    found = entry.measured
                    numbers = [_number(v) for v in (found.value, found.low, found.high)] if found else ["", "", ""]
                    stated = "" if entry.published is None else f"{entry.published:g}"
                    writer.writerow([grid.caption or self.title, *labels, column, *numbers, stated])
        return stream.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _entries(result: FitResult | None, stated: published.Triple | None) -> list[Entry]:
    measured = [result.test[name] if result else None for name in METRIC_TITLES]
    return [Entry(m, p) for m, p in zip(measured, stated or (None, None, None), strict=True)]


def _features_title(features: str, facts: StudyFacts) -> str:
    """A deep family beside the paper's VGG19 is named, since it is another network."""
    return "Visual+social" if features in ("visual+social", "fused") else facts.sets[features][0]


def correlation_tables(facts: StudyFacts) -> list[StudyTable]:
    tables = []
    for name, title, stated, values in (
        ("table_1", "Table I: user features", published.TABLE_1, tuple(TITLES)[:5]),
        ("table_2", "Table II: post metadata", published.TABLE_2, tuple(TITLES)[5:]),
    ):
        rows = [((TITLES[v],), [Entry(facts.correlations[v], stated.get(v))]) for v in values]
        note = "Rank correlation of each value with the label, over all splits. A dash: the value is constant."
        tables.append(StudyTable(name, title, note, [Grid("", ("feature",), ("Spearman's rho",), rows)]))
    return tables


def table_4(facts: StudyFacts) -> StudyTable:
    order = ["scnn", "vcnn", "vscnn"]
    results = sorted(
        (r for r in facts.main.results if r.model in order), key=lambda r: order.index(r.model)
    )  # stable: sets keep their order
    rows = [
        (
            (MODELS[r.model], _features_title(r.features, facts)),
            _entries(r, published.TABLE_4.get((r.model, r.features))),
        )
        for r in results
    ]
    grid = Grid("", ("model", "features"), tuple(METRIC_TITLES.values()), rows)
    return StudyTable("table_4", "Table IV: social groups and visual families", "", [grid])


def table_5(facts: StudyFacts) -> StudyTable:
    models = ("lr", "svr", "dtr", "gbdt", "vscnn")
    found = {(r.model, r.features): r for r in facts.main.results}
    names = [name for name in facts.sets if name != "fused"]
    names += ["visual+social"] if "visual" in facts.sets else []
    grids = []
    for number, (metric, title) in enumerate(METRIC_TITLES.items()):
        rows = []
        for name in names:
            entries = []
            for model in models:
                result, stated = found.get((model, name)), published.TABLE_5.get((model, name))
                entries.append(Entry(result.test[metric] if result else None, stated[number] if stated else None))
            rows.append(((_features_title(name, facts),), entries))
        grids.append(Grid(title, ("features",), tuple(MODELS[m] for m in models), rows))
    used = {r.model: r.used for r in facts.main.results if r.model in models}
    note = " ".join(f"{MODELS[model]}: {used[model]}." for model in models if model in used and model != "vscnn")
    return StudyTable("table_5", "Table V: models by feature set", note, grids)


def table_6(facts: StudyFacts) -> StudyTable:
    rows = [((team, "published"), _entries(None, stated)) for team, stated in published.TABLE_6.items()]
    ours = facts.main.best("vscnn")
    if ours:
        rows.append((("VSCNN (popspark)", "measured here"), _entries(ours, None)))
    grid = Grid("", ("method", "source"), tuple(METRIC_TITLES.values()), rows)
    note = "The challenge's numbers hold for SMP-T1 and its test set; only a measurement on those posts compares."
    return StudyTable("table_6", "Table VI: published results of the SMP-T1 challenge", note, [grid])


def table_7(facts: StudyFacts) -> StudyTable:
    rows = [((MODELS[m],), _entries(facts.main.best(m), published.TABLE_7[m])) for m in ("vscnn", "vscnn_ef")]
    grid = Grid("", ("model",), tuple(METRIC_TITLES.values()), rows)
    return StudyTable("table_7", "Table VII: late against early fusion", "", [grid])


def shares_table(facts: StudyFacts) -> StudyTable:
    """Percentages without an interval: of all posts at hand, not of a sample."""
    rows = []
    for group, found in facts.shares.items():
        mean, pooled = (Estimate(100 * found[key], math.nan, math.nan) for key in ("mean", "pooled"))
        stated = 100 * published.POPULAR_SHARES[group]
        rows.append(((f"{group} ({found['n_users']:.0f})",), [Entry(mean, stated), Entry(pooled)]))
    grid = Grid("", ("users",), ("% popular, mean over users", "% popular, over their posts"), rows)
    note = "Popular: the top fifth of posts by label, and of users by average views."
    return StudyTable("shares", "80-20 shares", note, [grid])


def variants_table(facts: StudyFacts) -> StudyTable:
    rows = []
    for r in facts.variants:
        scaled = "standardised before PCA" if r.scale_first else "centred only"
        entries = [*(Entry(r.valid[m]) for m in ("mse", "spearman_rho")), *(Entry(r.test[m]) for m in METRIC_TITLES)]
        rows.append(((str(r.initialisation), scaled, "chosen" if r is facts.chosen else ""), entries))
    columns = ("valid MSE", "valid rho", *(f"test {title}" for title in METRIC_TITLES.values()))
    grid = Grid("", ("initialisation", "scaling", ""), columns, rows)
    note = "The smallest error on the validation split decides, and holds for every other network of this report."
    return StudyTable("variants", "Initialisation and scaling", note, [grid])


def cell_title(cell: CellFacts) -> str:
    return f"{cell.strategy.replace('_', ' ')}, {MODE_TITLES[cell.mode]}"


def cells_table(facts: StudyFacts) -> StudyTable:
    cells = sorted(facts.cells, key=lambda cell: ("random", "by_user", "chronological").index(cell.strategy))
    models = [model for model in MODELS if any(cell.best(model) for cell in cells)]
    columns = tuple(cell_title(cell) for cell in cells)
    best = {(cell_title(cell), model): cell.best(model) for cell in cells for model in models}
    grids = []
    for metric, title in METRIC_TITLES.items():
        rows = []
        for model in models:
            found = [best[column, model] for column in columns]
            rows.append(((MODELS[model],), [Entry(r.test[metric] if r else None) for r in found]))
        grids.append(Grid(title, ("model",), columns, rows))
    rows = []
    for model in models:
        found = [best[column, model] for column in columns]
        rows.append(((MODELS[model],), [Entry(r.within_users["spearman_rho"] if r else None) for r in found]))
    grids.append(Grid("Spearman's rho within each user, mean over users", ("model",), columns, rows))
    return StudyTable("all_data", "Every split and feature mode", "", grids)


def all_tables(facts: StudyFacts) -> Mapping[str, StudyTable]:
    """The tables by name, in the order of the report; table VII only where there are images."""
    tables = [*correlation_tables(facts), shares_table(facts), variants_table(facts), table_4(facts), table_5(facts)]
    tables += [table_6(facts), *([table_7(facts)] if facts.main.best("vscnn_ef") else []), cells_table(facts)]
    return {table.name: table for table in tables}
