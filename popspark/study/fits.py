"""One fit of the study: a model on feature sets of one reduced table, measured on the test split, kept in a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from popspark.evaluation.metrics import METRICS, Estimate, bootstrap, within_users
from popspark.networks.vscnn import merged_size
from popspark.runtime.config import Section
from popspark.storage.examples import SPLITS
from popspark.study.facts import FitResult
from popspark.study.feature_sets import FeatureSet
from popspark.study.settings import StudySettings
from popspark.training.baselines import Fitted, fit_baseline, fit_mean, fit_user_mean
from popspark.training.cnn import fit_cnn, predict_rows
from popspark.training.settings import CnnFitSettings, CnnSettings, Initialisation

Values = npt.NDArray[Any]
Curves = tuple[dict[str, float], ...]
KEYS = ("post_id", "user_id")
CNNS = ("vscnn", "scnn", "vcnn", "vscnn_ef")
BASELINES = ("lr", "svr", "dtr", "gbdt")
TRIVIAL = ("mean", "user_mean", "metadata")
"""metadata: least squares on post metadata and time, without user and image."""


class FitTask(Section):
    """model: of `CNNS`, `BASELINES` or `TRIVIAL`. features: names of feature sets, side by side or a tower each."""

    model: str
    features: tuple[str, ...]
    initialisation: Initialisation = "standard"
    scale_first: bool = True

    @property
    def name(self) -> str:
        return "-".join((self.model, *self.features, *([self.initialisation] if self.model in CNNS else [])))


@dataclass(frozen=True)
class Rows:
    """One split in memory, in one order. values: by feature set, (N, length)."""

    post_ids: Values
    users: Values
    labels: npt.NDArray[np.float32]
    values: Mapping[str, npt.NDArray[np.float32]]

    def beside(self, names: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.hstack([self.values[name] for name in names])


def read_rows(reduced: Path, split: str, names: Sequence[str]) -> Rows:
    """A split of a reduced table: N x 34 floats at most, so it fits where its features would not."""
    table = pq.read_table(
        reduced / f"split={split}", columns=["post_id", "user_id", "label", *names], partitioning=None
    )
    table = table.combine_chunks()
    values = {
        name: np.asarray(pa.concat_arrays(table[name].chunks).flatten()).reshape(table.num_rows, -1) for name in names
    }
    post_ids, users = (table[key].to_numpy(zero_copy_only=False) for key in KEYS)
    return Rows(post_ids, users, table["label"].to_numpy(), values)


def _fit_cnn(
    task: FitTask, sets: Mapping[str, FeatureSet], reduced: Path, folder: Path, fit: CnnFitSettings
) -> tuple[Fitted, Curves]:
    """The network's `predict` takes rows side by side; the curves of the fit."""
    towers = {sets[name].modality: sets[name].tower for name in task.features}
    inputs = {sets[name].modality: name for name in task.features}
    settings = CnnSettings.model_validate(
        {"architecture": task.model, "initialisation": task.initialisation, "fit": fit}
    )
    network, curves = fit_cnn(reduced, inputs, towers, settings, folder / "checkpoint.pt", show_progress=False)
    network.eval()

    def predict(rows: Values) -> Values:
        starts = np.cumsum([length for length, _ in towers.values()])[:-1]
        blocks = dict(zip(towers, np.split(rows, starts, axis=1), strict=True))
        return predict_rows(network, {name: np.ascontiguousarray(block) for name, block in blocks.items()})

    best = min(curves, key=lambda line: line.valid_mse).epoch
    used = f"{merged_size(towers):,} merged values, {task.initialisation} initialisation, epoch {best} of {len(curves)}"
    return Fitted(predict, used), tuple(asdict(line) for line in curves)


def _measure(truth: Values, predicted: Values, n_resamples: int) -> dict[str, Estimate]:
    return {name: bootstrap(metric, truth, predicted, n_resamples) for name, metric in METRICS.items()}


def run_fit(
    task: FitTask, sets: Mapping[str, FeatureSet], reduced: Path, folder: Path, settings: StudySettings
) -> FitResult:
    """Fits, predicts the test split into <folder>/test.parquet, and returns what <folder>/result.json then holds.

    A fit that is there already is returned as it is; a killed one goes on from its checkpoint.
    """
    done = folder / "result.json"
    if done.is_file():
        return FitResult.model_validate_json(done.read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    train, valid, test = (read_rows(reduced, split, task.features) for split in SPLITS)
    curves: Curves = ()
    if task.model in CNNS:
        fitted, curves = _fit_cnn(task, sets, reduced, folder, settings.fit)
    elif task.model == "mean":
        fitted = fit_mean(train.labels)
    elif task.model == "user_mean":
        fitted = fit_user_mean(train.users, train.labels)
    else:
        model = "lr" if task.model == "metadata" else task.model
        fitted = fit_baseline(model, train.beside(task.features), train.labels, settings.baselines)
    seconds = time.perf_counter() - start
    predicted = {
        split: np.asarray(fitted.predict(rows.beside(task.features) if task.features else rows.users), np.float64)
        for split, rows in (("valid", valid), ("test", test))
    }
    of_users = {
        name: within_users(metric, test.labels, predicted["test"], test.users, settings.n_resamples)
        for name, metric in METRICS.items()
    }
    result = FitResult(
        model=task.model,
        features="+".join(task.features),
        initialisation=task.initialisation if task.model in CNNS else None,
        scale_first=task.scale_first,
        used=fitted.used,
        n_train=len(train.labels),
        n_test=len(test.labels),
        valid=_measure(valid.labels, predicted["valid"], settings.n_resamples),
        test=_measure(test.labels, predicted["test"], settings.n_resamples),
        within_users={name: found.estimate for name, found in of_users.items()},
        n_users=of_users["spearman_rho"].n_users,
        seconds=seconds,
        folder=folder,
        curves=curves,
    )
    table = {"post_id": test.post_ids, "user_id": test.users, "label": test.labels, "predicted": predicted["test"]}
    pq.write_table(pa.table(table), folder / "test.parquet")
    partial = folder / "result.partial"
    partial.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    os.replace(partial, done)
    return result
