"""The petastorm feed: rows of Parquet files as batches of tensors. The only file that knows petastorm.

petastorm is no longer maintained, ends an epoch silently on some faults, and repeats its order when one reader makes
several epochs. So each epoch has a reader of its own, and the rows that arrive are counted against those written.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow.parquet as pq
import torch

from popspark.runtime.errors import PathError, TrainingError

Batch = dict[str, torch.Tensor]


def parquet_files(folder: Path) -> list[Path]:
    """The files of a folder that training wrote itself; raises `PathError` where there are none.

    The files of a table are those of a version, see `popspark.training.examples`.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise PathError("There are no Parquet files to feed from.", where=str(folder))
    return files


def count_rows(files: Sequence[Path]) -> int:
    """The rows of Parquet files, from their footers."""
    return sum(pq.ParquetFile(file).metadata.num_rows for file in files)


def _quieten() -> None:
    """petastorm uses what its dependencies have since deprecated; only a new petastorm could change that."""
    for module in (r"petastorm\.", r"fs\b", "pkg_resources", "torch"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=module)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", message="schema_fields behavior has changed")  # since a version long past
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # it is only read


@contextlib.contextmanager
def _open_reader(files: Sequence[Path], columns: Sequence[str], epoch: int) -> Iterator[Any]:
    _quieten()
    from petastorm import make_batch_reader

    reader = make_batch_reader(
        [f"file://{file.resolve()}" for file in files],  # petastorm takes a path as it is, not percent-encoded
        schema_fields=list(columns),
        num_epochs=1,
        seed=epoch + 1,  # 0 would mean none
        shuffle_row_groups=True,
        shuffle_rows=True,
        reader_pool_type="dummy",  # its thread pool ends epochs early when row groups are small (seen: 56 of 112 rows)
    )
    try:
        yield reader
    finally:
        reader.stop()
        reader.join()


def _check_count(files: Sequence[Path], n_arrived: int, n_written: int) -> None:
    if n_arrived != n_written:
        raise TrainingError(
            "The feed lost or repeated rows.",
            where=str(files[0].parent),
            got=f"{n_arrived} rows arrived",
            legal=f"{n_written} rows were written",
        )


def read_epoch(files: Sequence[Path], columns: Sequence[str], batch_size: int, epoch: int) -> Iterator[Batch]:
    """One pass over the rows, in batches; the order follows from `epoch` alone. The last batch may be short.

    Raises `TrainingError` where other than all rows arrive.
    """
    n_arrived, n_written = 0, count_rows(files)
    with _open_reader(files, columns, epoch) as reader:
        from petastorm.pytorch import BatchedDataLoader

        torch.manual_seed(epoch)  # the loader's shuffling draws from torch's generator
        loader = BatchedDataLoader(reader, batch_size=batch_size, shuffling_queue_capacity=max(20_000, 10 * batch_size))
        for batch in loader:
            n_arrived += len(batch[columns[0]])
            yield {name: batch[name] for name in columns}
    _check_count(files, n_arrived, n_written)


def read_row_groups(files: Sequence[Path], columns: Sequence[str], epoch: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """One pass over the rows as arrays, also of bytes, a row group at a time: what is held at once.

    The order of the groups, and of the rows within each, follows from `epoch` alone: rows that must be well mixed are
    written in a random order. Raises `TrainingError` where other than all rows arrive.
    """
    n_arrived, n_written = 0, count_rows(files)
    with _open_reader(files, columns, epoch) as reader:
        for group in reader:
            n_arrived += len(getattr(group, columns[0]))
            yield {name: getattr(group, name) for name in columns}
    _check_count(files, n_arrived, n_written)
