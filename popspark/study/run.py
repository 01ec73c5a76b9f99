"""The study: every model on every feature set, split and feature mode, each fit kept, as many at a time as cores allow.

Order: reduce the main data both ways; compare initialisation and scaling there and take the better by validation for
all that follows; reduce the other data; fit the rest. Whatever is in the work folder under the same settings and data
is taken from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

from joblib import Parallel, delayed, parallel_config

from popspark import __version__
from popspark.runtime.errors import TrainingError
from popspark.study.cells import Cell, key_of
from popspark.study.facts import FitResult
from popspark.study.feature_sets import FeatureSet, feature_sets
from popspark.study.fits import BASELINES, KEYS, FitTask, run_fit
from popspark.study.settings import StudySettings
from popspark.training.examples import find_examples
from popspark.training.reduction import fit_moments, reduce_moments, write_reduced
from popspark.training.settings import Initialisation

Tell = Callable[[str], None]
RESULTS = 2
"""The form of result.json: results of another form are not taken from the work folder."""


@dataclass(frozen=True)
class StudyResults:
    """main: results of all models on the main data, variants: those of the comparison; others: by cell name.

    chosen: the best variant, whose initialisation and scaling every other fit has. sets: by name.
    """

    main: list[FitResult]
    variants: list[FitResult]
    others: dict[str, list[FitResult]]
    chosen: FitResult
    sets: dict[str, FeatureSet]


def reduce_cell(cell: Cell, sets: Mapping[str, FeatureSet], scale_first: bool, folder: Path) -> Path:
    """The cell's rows with one short column per feature set, each of a PCA of its own; from one pass for all PCAs."""
    if not folder.is_dir():
        columns = ("visual", "social") if "visual" in sets else ("social",)
        examples = find_examples(cell.examples)
        moments = fit_moments(examples.by_split["train"], columns)
        first = len(moments.mean) - sets["social"].dim
        reductions = {}
        for name, one in sets.items():
            offset = first if one.modality == "social" else 0
            own = moments.select(offset + one.range.start, offset + (one.range.stop or one.dim))
            reductions[name] = reduce_moments(own, one.n_components, scale_first, f"{cell.examples}, {one.title}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_reduced(examples, folder, reductions, {name: one.range for name, one in sets.items()}, KEYS)
    return folder


def main_tasks(sets: Mapping[str, FeatureSet], initialisation: Initialisation) -> list[FitTask]:
    """The fits of tables IV, V and VII, and the trivial baselines; what takes longest first."""
    both = ("visual", "social") if "visual" in sets else ("social",)
    alone = [name for name in sets if name != "fused"]
    cnns = [("vscnn", both), ("vscnn_ef", ("fused",))] if len(both) == 2 else []
    cnns += [("vcnn" if sets[name].modality == "visual" else "scnn", (name,)) for name in alone]
    tasks = [FitTask(model=model, features=features, initialisation=initialisation) for model, features in cnns]
    combined = [both] if len(both) == 2 else []
    for model in reversed(BASELINES):
        tasks += [FitTask(model=model, features=features) for features in [*combined, *((name,) for name in alone)]]
    return tasks + trivial_tasks()


def trivial_tasks() -> list[FitTask]:
    names: dict[str, tuple[str, ...]] = {"mean": (), "user_mean": (), "metadata": ("post", "time")}
    return [FitTask(model=model, features=features) for model, features in names.items()]


def other_tasks(sets: Mapping[str, FeatureSet], initialisation: Initialisation) -> list[FitTask]:
    """The fits on other data than the main: each model on all that it can read."""
    whole = {("visual", "social"), ("visual",), ("social",), ("fused",)}
    tasks = [task for task in main_tasks(sets, initialisation) if task.features in whole or not task.features]
    both = "visual" in sets
    kept = [task for task in tasks if task.model not in BASELINES or not both or task.features == ("visual", "social")]
    return kept + [task for task in trivial_tasks() if task.features]


class Study:
    """One run over a work folder."""

    def __init__(self, settings: StudySettings, work: Path, tell: Tell) -> None:
        self.settings, self.work, self._tell = settings, work, tell
        self._n_workers = settings.n_workers or os.cpu_count() or 1

    def _folder(self, cell: Cell, scale_first: bool) -> Path:
        return self.work / cell.name / key_of(__version__, RESULTS, cell.key, scale_first)

    def _fits(self, cell: Cell, tasks: Iterable[FitTask], sets: Mapping[str, FeatureSet]) -> list[tuple[Any, ...]]:
        """Arguments of `run_fit`. A fit's folder depends on what it is, its settings and its data."""
        jobs = []
        for task in tasks:
            base = self._folder(cell, task.scale_first)
            own = self.settings.model_dump(exclude={"n_workers"})
            folder = base / f"{task.name}-{key_of(task.model_dump(), own)[:8]}"
            jobs.append((task, sets, base / "reduced", folder, self.settings))
        return jobs

    def _all(self, function: Callable[..., Any], jobs: list[tuple[Any, ...]], what: str) -> list[Any]:
        """Results in the order of `jobs`, computed as many at a time as there are workers."""
        if not jobs:
            return []
        results: dict[int, Any] = {}
        with parallel_config("loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=min(self._n_workers, len(jobs)), return_as="generator_unordered")
            for number, result in pool(delayed(_numbered)(i, function, job) for i, job in enumerate(jobs)):
                results[number] = result
                self._tell(f"{what} {len(results)}/{len(jobs)}")
        return [results[i] for i in range(len(jobs))]

    def run(self, main: Cell, others: list[Cell]) -> StudyResults:
        """Raises `TrainingError` where a split has no rows, or the data cannot be reduced."""
        if main.refused or main.record is None:
            raise TrainingError("There is no main data to study.", where=main.name, got=main.refused)
        cells = [main, *(cell for cell in others if not cell.refused)]
        for cell in cells:
            find_examples(cell.examples)
        sets = feature_sets(main.record)
        ways = [True, False]
        self._all(
            reduce_cell, [(main, sets, w, self._folder(main, w) / "reduced") for w in ways], "reduced, main data:"
        )
        both = ("visual", "social") if "visual" in sets else ("social",)
        model = "vscnn" if "visual" in sets else "scnn"
        compared = [
            FitTask(model=model, features=both, initialisation=initialisation, scale_first=way)
            for initialisation, way in product(get_args(Initialisation), ways)
        ]
        variants: list[FitResult] = self._all(run_fit, self._fits(main, compared, sets), "compared:")
        best = min(range(len(variants)), key=lambda i: variants[i].valid["mse"].value)
        start, way = compared[best].initialisation, compared[best].scale_first
        todo = [(cell, sets, way, self._folder(cell, way) / "reduced") for cell in cells[1:]]
        self._all(reduce_cell, todo, "reduced, other data:")
        counts: list[int] = []
        jobs: list[tuple[Any, ...]] = []
        for cell in cells:
            tasks = (main_tasks if cell is main else other_tasks)(sets, start)
            counts.append(len(tasks))
            jobs += self._fits(cell, [task.model_copy(update={"scale_first": way}) for task in tasks], sets)
        found = iter(self._all(run_fit, jobs, "fitted:"))
        by_cell = {cell.name: [next(found) for _ in range(n)] for cell, n in zip(cells, counts, strict=True)}
        return StudyResults(by_cell.pop(main.name), variants, by_cell, variants[best], sets)


def _numbered(number: int, function: Callable[..., Any], job: tuple[Any, ...]) -> tuple[int, Any]:
    """One call in a worker process, with one thread, since the fits share the cores."""
    import torch

    torch.set_num_threads(1)
    return number, function(*job)
