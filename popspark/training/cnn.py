"""Examples to a fitted CNN: reduce on the training split, write the reduced rows, fit, measure."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from popspark.bundle import Reduction
from popspark.config import Section
from popspark.errors import TrainingError
from popspark.metrics import METRICS, Estimate, bootstrap
from popspark.networks.vscnn import TOWERS, PopularityCNN, initialise
from popspark.training.feed import count_rows
from popspark.training.fitting import Epoch, FitSettings, fit, predict
from popspark.training.reduction import BATCH_ROWS, fit_reduction, stack_columns

SPLITS = ("train", "valid", "test")
COLUMNS = {"visual": ("visual",), "social": ("social",), "fused": ("visual", "social")}
"""By modality, the columns of examples that it reduces."""


class CnnSettings(Section):
    """architecture: of `popspark.networks.vscnn.TOWERS`. scale_first: standardise each value before the PCA.

    initialisation: `paper`, uniform in [-1, 1], or `standard`.
    """

    architecture: Literal["vscnn", "vcnn", "scnn", "vscnn_ef"] = "vscnn"
    initialisation: Literal["paper", "standard"] = "standard"
    scale_first: bool = True
    fit: FitSettings = FitSettings()


@dataclass(frozen=True)
class FittedCNN:
    """scores: predictions of the training split, the bundle's reference. metrics: by split and name."""

    network: PopularityCNN
    reductions: Mapping[str, Reduction]
    curves: Sequence[Epoch]
    scores: npt.NDArray[np.float32]
    metrics: Mapping[str, Mapping[str, Estimate]]
    n_rows: Mapping[str, int]


def write_reduced(examples: Path, reduced: Path, reductions: Mapping[str, Reduction]) -> None:
    """Each split's rows with one short column per modality in place of the features; whole, or not at all."""
    if reduced.is_dir():
        return
    partial = reduced.with_name(f"{reduced.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for split in SPLITS:
        folder = partial / f"split={split}"
        folder.mkdir(parents=True)
        needed = {column for modality in reductions for column in COLUMNS[modality]}
        rows = ds.dataset(examples / f"split={split}", format="parquet")
        writer: pq.ParquetWriter | None = None
        for batch in rows.to_batches(columns=["label", *needed], batch_size=BATCH_ROWS):
            columns = {"label": batch.column("label")}
            for modality, reduction in reductions.items():
                columns[modality] = pa.array(list(reduction(stack_columns(batch, COLUMNS[modality]))))
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / "part-0.parquet", table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    partial.rename(reduced)


def _fingerprint(examples: Path, settings: CnnSettings) -> str:
    """Of the settings and the files of the examples, by name, size and time."""
    files = sorted(examples.rglob("*.parquet"))
    facts = [(str(f.relative_to(examples)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(f"{settings.model_dump_json()} {facts}".encode()).hexdigest()[:12]


def train_cnn(examples: Path, work: Path, settings: CnnSettings) -> FittedCNN:
    """Trains on the examples table; resumes an earlier, killed call with the same examples and settings.

    work: has a folder for each examples and settings. Raises `TrainingError` where a split has no rows.
    """
    n_rows = {}
    for split in SPLITS:
        folder = examples / f"split={split}"
        n_rows[split] = count_rows(folder) if folder.is_dir() else 0
        if not n_rows[split]:
            raise TrainingError("A split has no rows.", where=str(folder), legal=f"rows in each of {', '.join(SPLITS)}")
    towers = TOWERS[settings.architecture]
    reductions = {
        modality: fit_reduction(examples / "split=train", COLUMNS[modality], length, settings.scale_first)
        for modality, (length, _) in towers.items()
    }
    work = work / _fingerprint(examples, settings)
    work.mkdir(parents=True, exist_ok=True)
    write_reduced(examples, work / "reduced", reductions)
    torch.manual_seed(settings.fit.seed)
    network = PopularityCNN(towers)
    initialise(network, settings.initialisation)
    inputs = {modality: modality for modality in towers}
    curves = fit(network, work / "reduced", inputs, settings.fit, work / "checkpoint.pt", settings.architecture)
    network.half().float()  # what a bundle stores; measured and released are the same numbers
    predictions = {split: predict(network, work / "reduced" / f"split={split}", inputs) for split in SPLITS}
    metrics = {
        split: {name: bootstrap(metric, *predictions[split]) for name, metric in METRICS.items()} for split in SPLITS
    }
    return FittedCNN(network, reductions, curves, predictions["train"][1], metrics, n_rows)
