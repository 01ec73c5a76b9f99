"""PCA of Parquet files larger than memory, fitted on the training split only, and all splits' reduced rows.

The mean and the covariance of all rows are summed up batch by batch, and the leading eigenvectors of the covariance
are the components: exact, unlike an incremental PCA, in one pass, with memory d^2 whatever the number of rows (a few
float64 matrices of 4,710 x 4,710, 177 MB each). It is scikit-learn's `covariance_eigh` method, streamed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk

from popspark.models.bundle import Reduction
from popspark.runtime.errors import TrainingError
from popspark.storage.examples import SPLITS
from popspark.training.examples import ExampleFiles

BATCH_ROWS = 2048
Matrix = npt.NDArray[Any]


@dataclass(frozen=True)
class ValueRange:
    """The values of an example that a reduction takes: `columns` side by side, and of them [start, stop)."""

    columns: tuple[str, ...]
    start: int = 0
    stop: int | None = None


MODALITIES = {
    "visual": ValueRange(("visual",)),
    "social": ValueRange(("social",)),
    "fused": ValueRange(("visual", "social")),
}
"""All values of each modality."""


def stack_columns(batch: pa.RecordBatch, columns: Sequence[str]) -> Matrix:
    """Array columns side by side: float32 (n, d)."""
    flat = (batch.column(name).flatten().to_numpy(zero_copy_only=False) for name in columns)
    return np.hstack([values.reshape(batch.num_rows, -1) for values in flat])


def read_matrices(files: Sequence[Path], columns: Sequence[str]) -> Iterator[Matrix]:
    """The rows of Parquet files as float32 (n, d) matrices of at most `BATCH_ROWS` rows; columns side by side."""
    # Not as a dataset: its scanner reads ahead and keeps a file's bytes, gigabytes of features.
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield stack_columns(batch, columns)


@dataclass(frozen=True)
class Moments:
    """The number of all rows, their mean (d,) and their covariance (d, d), both float64."""

    n: int
    mean: Matrix
    covariance: Matrix

    def select(self, start: int, stop: int | None) -> Moments:
        """The moments of the values [start, stop) alone; nothing is read again."""
        chosen = slice(start, stop)
        return Moments(self.n, self.mean[chosen], self.covariance[chosen, chosen])


def fit_moments(files: Sequence[Path], columns: Sequence[str]) -> Moments:
    """One pass over the rows of Parquet files.

    Rows are shifted by the first batch's mean before they are squared, so that a large mean costs no digits.
    Raises `TrainingError` for values that are not finite.
    """
    n = 0
    shift = total = squares = np.zeros(0)
    for matrix in read_matrices(files, columns):
        if not np.isfinite(matrix).all():
            bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
            raise TrainingError(
                "Training features hold values that are not finite.",
                got=f"{len(bad)} columns, the first at {bad[0]}",
                fix="exclude these rows when the examples are built",
            )
        if n == 0:
            shift = matrix.mean(axis=0, dtype=np.float64)
            total, squares = np.zeros(len(shift)), np.zeros((len(shift), len(shift)), order="F")
        centered = matrix - shift
        n += len(matrix)
        total += centered.sum(axis=0)
        squares = dsyrk(1.0, centered.T, 1.0, squares, overwrite_c=True)  # the upper triangle, in place
    mean = total / max(n, 1)
    squares /= max(n, 1)
    for k in range(1, len(mean)):
        squares[k, :k] = squares[:k, k]
    squares -= np.outer(mean, mean)
    return Moments(n, shift + mean, squares)


def reduce_moments(moments: Moments, n_components: int, scale_first: bool, where: str) -> Reduction:
    """PCA, and the scale after it: each component to mean 0 and standard deviation 1.

    scale_first: also divide each value by its standard deviation before the projection. A constant value has none; it
    is left as it is and adds nothing. where: for the error. Raises `TrainingError` for fewer rows or values than
    components.
    """
    mean = moments.mean
    if min(moments.n, len(mean)) < n_components:
        raise TrainingError(
            "Too few rows or values for the reduction.",
            where=where,
            got=f"{moments.n} rows of {len(mean)} values",
            legal=f"at least {n_components} of each",
            fix="train on more posts, or reduce to fewer components",
        )
    spread = np.sqrt(np.maximum(np.diag(moments.covariance), 0.0))
    scale = np.where(spread > 0, spread, 1.0) if scale_first else np.ones_like(spread)
    covariance = moments.covariance / scale
    covariance /= scale[:, None]
    last = len(mean) - 1
    variances, vectors = eigh(covariance, subset_by_index=[last - n_components + 1, last], overwrite_a=True)
    variances, components = variances[::-1], vectors[:, ::-1].T
    signs = np.sign(components[np.arange(n_components), np.abs(components).argmax(axis=1)])  # as scikit-learn flips
    out_scale = np.sqrt(np.maximum(variances, 0.0))
    noise = 1e-6 * max(out_scale[0], 1e-30)  # what rounding to float32 leaves of values that depend on each other
    absent = out_scale <= noise
    out_scale[absent], components[absent] = 1.0, 0.0  # 0 for every row, also for those unlike any in training
    return Reduction(
        center=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        components=(components * signs[:, None]).astype(np.float32),
        out_mean=np.zeros(n_components, np.float32),
        out_scale=out_scale.astype(np.float32),
    )


def fit_reduction(files: Sequence[Path], columns: Sequence[str], n_components: int, scale_first: bool) -> Reduction:
    """`reduce_moments` of the moments of `columns` in Parquet files."""
    where = f"{files[0].parent}, columns {', '.join(columns)}"
    return reduce_moments(fit_moments(files, columns), n_components, scale_first, where)


def write_reduced(
    examples: ExampleFiles,
    reduced: Path,
    reductions: Mapping[str, Reduction],
    ranges: Mapping[str, ValueRange] = MODALITIES,
    keys: Sequence[str] = (),
) -> None:
    """Each split's rows with one short column per reduction in place of the features; whole, or not at all.

    ranges: by the reduction's name, what it reduces. keys: columns kept as they are. Raises `TrainingError` for labels
    or features that are not finite.
    """
    if reduced.is_dir():
        return
    partial = reduced.with_name(f"{reduced.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    needed = {column for name in reductions for column in ranges[name].columns}
    for split in SPLITS:
        folder = partial / f"split={split}"
        folder.mkdir(parents=True)
        rows = ds.dataset(examples.by_split[split], format="parquet")
        writer: pq.ParquetWriter | None = None
        for batch in rows.to_batches(columns=[*keys, "label", *needed], batch_size=BATCH_ROWS):
            _check_finite(batch, ("label", *needed), f"{examples.path}, split {split}")
            columns = {name: batch.column(name) for name in (*keys, "label")}
            for name, reduction in reductions.items():
                taken = ranges[name]
                values = stack_columns(batch, taken.columns)[:, taken.start : taken.stop]
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
