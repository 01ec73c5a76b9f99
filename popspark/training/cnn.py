"""Examples to a fitted CNN: reduce on the training split, write the reduced rows, fit, measure."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from popspark.evaluation.metrics import METRICS, Estimate, bootstrap
from popspark.models.bundle import Reduction
from popspark.networks.vscnn import TOWERS, PopularityCNN, initialise
from popspark.runtime.config import Section
from popspark.runtime.errors import TrainingError
from popspark.storage.examples import SPLITS
from popspark.training.feed import count_rows
from popspark.training.fitting import Epoch, fit, predict
from popspark.training.reduction import BATCH_ROWS, fit_reduction, stack_columns
from popspark.training.settings import CnnSettings


@dataclass(frozen=True)
class Part:
    """Which of an example's values go into a reduction: `columns` side by side, and of them [start, stop)."""

    columns: tuple[str, ...]
    start: int = 0
    stop: int | None = None


MODALITIES = {"visual": Part(("visual",)), "social": Part(("social",)), "fused": Part(("visual", "social"))}
"""By modality, the whole of what it reduces."""


@dataclass(frozen=True)
class FittedCNN:
    """scores: predictions of the training split, the bundle's reference. metrics: by split and name."""

    network: PopularityCNN
    reductions: Mapping[str, Reduction]
    curves: Sequence[Epoch]
    scores: npt.NDArray[np.float32]
    metrics: Mapping[str, Mapping[str, Estimate]]
    n_rows: Mapping[str, int]


def count_splits(examples: Path) -> dict[str, int]:
    """Rows by split; raises `TrainingError` where a split has none."""
    n_rows = {}
    for split in SPLITS:
        folder = examples / f"split={split}"
        n_rows[split] = count_rows(folder) if folder.is_dir() else 0
        if not n_rows[split]:
            raise TrainingError("A split has no rows.", where=str(folder), legal=f"rows in each of {', '.join(SPLITS)}")
    return n_rows


def write_reduced(
    examples: Path,
    reduced: Path,
    reductions: Mapping[str, Reduction],
    parts: Mapping[str, Part] = MODALITIES,
    keys: Sequence[str] = (),
) -> None:
    """Each split's rows with one short column per reduction in place of the features; whole, or not at all.

    parts: by the reduction's name, what it reduces. keys: columns kept as they are. Raises `TrainingError` for labels
    or features that are not finite.
    """
    if reduced.is_dir():
        return
    partial = reduced.with_name(f"{reduced.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    needed = {column for name in reductions for column in parts[name].columns}
    for split in SPLITS:
        folder = partial / f"split={split}"
        folder.mkdir(parents=True)
        rows = ds.dataset(examples / f"split={split}", format="parquet")
        writer: pq.ParquetWriter | None = None
        for batch in rows.to_batches(columns=[*keys, "label", *needed], batch_size=BATCH_ROWS):
            _check_finite(batch, ("label", *needed), f"{examples}, split {split}")
            columns = {name: batch.column(name) for name in (*keys, "label")}
            for name, reduction in reductions.items():
                part = parts[name]
                values = stack_columns(batch, part.columns)[:, part.start : part.stop]
                columns[name] = _as_lists(reduction(values))
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / "part-0.parquet", table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    partial.rename(reduced)


def _as_lists(rows: npt.NDArray[np.float32]) -> pa.ListArray:
    n, length = rows.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * length), pa.array(rows.ravel()))


def _check_finite(batch: pa.RecordBatch, columns: Sequence[str], where: str) -> None:
    for name in columns:
        column = batch.column(name)
        values = column.flatten() if pa.types.is_list(column.type) else column
        n_bad = values.null_count + int((~np.isfinite(values.drop_null().to_numpy(zero_copy_only=False))).sum())
        if n_bad:
            raise TrainingError(
                f"Examples hold a {name} that is not finite.",
                where=where,
                got=f"{n_bad} values in {batch.num_rows} rows",
                fix="exclude these rows when the examples are built",
            )


def fit_cnn(
    reduced: Path,
    inputs: Mapping[str, str],
    towers: Mapping[str, tuple[int, int]],
    settings: CnnSettings,
    checkpoint: Path,
    show_progress: bool = True,
) -> tuple[PopularityCNN, list[Epoch]]:
    """A network on the columns of `reduced`, its parameters rounded to what a bundle stores; and its curves."""
    torch.manual_seed(settings.fit.seed)
    network = PopularityCNN(towers)
    labels = pq.read_table(reduced / "split=train", columns=["label"], partitioning=None)["label"]
    initialise(network, settings.initialisation, mean_label=pc.mean(labels).as_py())
    label = settings.architecture
    curves = fit(network, reduced, inputs, settings.fit, checkpoint, label, show_progress=show_progress)
    network.half().float()  # measured and released are the same numbers
    return network, curves


def fingerprint(examples: Path, settings: Section) -> str:
    """Of the settings and the files of the examples, by name, size and time."""
    files = sorted(examples.rglob("*.parquet"))
    facts = [(str(f.relative_to(examples)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(f"{settings.model_dump_json()} {facts}".encode()).hexdigest()[:12]


def train_cnn(examples: Path, work: Path, settings: CnnSettings) -> FittedCNN:
    """Trains on the examples table; resumes an earlier, killed call with the same examples and settings.

    work: has a folder for each examples and settings. Raises `TrainingError` where a split has no rows.
    """
    n_rows = count_splits(examples)
    towers = TOWERS[settings.architecture]
    reductions = {
        modality: fit_reduction(examples / "split=train", MODALITIES[modality].columns, length, settings.scale_first)
        for modality, (length, _) in towers.items()
    }
    work = work / fingerprint(examples, settings)
    work.mkdir(parents=True, exist_ok=True)
    write_reduced(examples, work / "reduced", reductions)
    inputs = {modality: modality for modality in towers}
    network, curves = fit_cnn(work / "reduced", inputs, towers, settings, work / "checkpoint.pt")
    predictions = {split: predict(network, work / "reduced" / f"split={split}", inputs) for split in SPLITS}
    metrics = {
        split: {name: bootstrap(metric, *predictions[split]) for name, metric in METRICS.items()} for split in SPLITS
    }
    return FittedCNN(network, reductions, curves, predictions["train"][1], metrics, n_rows)
