"""Training against its references: the feed, the step, the paper's full run, and the reduction.

    python -m bench.training [--full] [--json FILE]

--full measures the reduction on 100,000 x 4,710 values (1.9 GB as Parquet, in a temporary folder) instead of
20,000 x 1,000.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from tqdm import tqdm

from bench.table import Row, finish
from popspark.networks.vscnn import CHANNELS, HIDDEN, TOWERS, PopularityCNN, merged_size
from popspark.training.cnn import make_optimizer, train_epoch
from popspark.training.feed import Batch, parquet_files, read_epoch
from popspark.training.reduction import fit_reduction

TOWER = TOWERS["vscnn"]
INPUTS = {name: name for name in TOWER}
PAPER_ROWS, PAPER_EPOCHS, PAPER_BATCH = 259_200, 50, 20
GIB = 2**30
N_ROWS = 10_000


def write_rows(folder: Path, n: int) -> Batch:
    """Reduced rows as a study writes them, and the same as tensors."""
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=(n, length)).astype(np.float32) for name, (length, _) in TOWER.items()}
    label = generator.normal(size=n).astype(np.float32)
    folder.mkdir(parents=True)
    table = pa.table({"label": label, **{name: pa.array(list(rows)) for name, rows in values.items()}})
    pq.write_table(table, folder / "part-0.parquet", row_group_size=2048)
    return {"label": torch.from_numpy(label), **{name: torch.from_numpy(rows) for name, rows in values.items()}}


def in_memory(rows: Batch, batch_size: int) -> Iterator[Batch]:
    order = torch.randperm(len(rows["label"]))
    shuffled = {name: values[order] for name, values in rows.items()}
    for start in range(0, len(order), batch_size):
        yield {name: values[start : start + batch_size] for name, values in shuffled.items()}


def in_turn(n_rounds: int, *functions: Callable[[], object]) -> list[float]:
    """The median seconds of each, called in turn so that a busy machine slows them alike; one round to warm up."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(n_rounds + 1):
        for kept, function in zip(seconds, functions, strict=True):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return [median(kept[1:]) for kept in seconds]


def feed_rows(folder: Path, n: int, batch_size: int) -> Row:
    """An epoch through petastorm against the same epoch from tensors."""
    rows = write_rows(folder, n)
    network = PopularityCNN(TOWER)
    optimizer = make_optimizer(network, 1e-3)

    def epoch(batches: Iterator[Batch]) -> None:
        with tqdm(disable=True) as progress:
            train_epoch(network, optimizer, batches, INPUTS, progress)

    columns = ["label", *INPUTS.values()]
    fed, held = in_turn(
        3,
        lambda: epoch(read_epoch(parquet_files(folder), columns, batch_size, epoch=1)),
        lambda: epoch(in_memory(rows, batch_size)),
    )
    return Row(f"epoch of {n:,} rows by petastorm, batch {batch_size:,} / from memory", fed, held, "s", 1.25, False)


def best_plain_steps(network: nn.Module, batches: list[Batch]) -> None:
    """The best plain loop: tensors at hand, fused Adam, nothing measured on the way."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    network.train()
    for batch in batches:
        loss = nn.functional.mse_loss(network(batch), batch["label"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def step_operations(batch_size: int) -> float:
    """Floating point operations of a step: multiply and add, forward and twice that backward."""
    per_row = merged_size(TOWER) * HIDDEN[0] + HIDDEN[0] * HIDDEN[1] + HIDDEN[1]
    for length, kernel in TOWER.values():
        channels = (1, *CHANNELS)
        for layer in range(len(CHANNELS)):
            outputs = length + (layer + 1) * (3 - kernel)
            per_row += outputs * channels[layer] * channels[layer + 1] * kernel
    return 6.0 * per_row * batch_size


def step_rows(folder: Path, n: int) -> tuple[list[Row], list[str]]:
    """A step of the training loop against the best plain loop and the floor; and notes, of the paper's full run too."""
    rows = write_rows(folder, n)
    batches = list(in_memory(rows, PAPER_BATCH))
    network = PopularityCNN(TOWER)
    optimizer = make_optimizer(network, 1e-3)
    square = torch.randn(1024, 1024)

    def ours() -> None:
        with tqdm(disable=True) as progress:
            feed = read_epoch(parquet_files(folder), ["label", *INPUTS.values()], PAPER_BATCH, epoch=1)
            train_epoch(network, optimizer, feed, INPUTS, progress)

    def products() -> None:
        for _ in range(20):
            torch.mm(square, square)

    mine, plain, product = in_turn(3, ours, lambda: best_plain_steps(PopularityCNN(TOWER), batches), products)
    per_second = 20 * 2 * 1024**3 / product
    floor = step_operations(PAPER_BATCH) / per_second
    step, plain_step = mine / len(batches), plain / len(batches)
    n_steps = PAPER_EPOCHS * -(-PAPER_ROWS // PAPER_BATCH)
    notes = [
        f"A large matrix product reaches {per_second / 1e9:.1f} GFLOP/s; a step needs {step_operations(20) / 1e9:.2f}.",
        f"The paper's full run, {n_steps:,} steps, takes {n_steps * step / 3600:.1f} hours here (by arithmetic).",
    ]
    return [
        Row("a step at batch 20, fed / the best plain torch loop", 1e3 * step, 1e3 * plain_step, "ms", 1.5, False),
        Row("a step at batch 20, fed / its floor by matrix products", 1e3 * step, 1e3 * floor, "ms", 10, False),
    ], notes


def ours_reduced(folder: str, n_components: int) -> None:
    fit_reduction(parquet_files(Path(folder)), ("visual",), n_components, True)


def sklearn_reduced(folder: str, n_components: int) -> None:
    """The whole table in memory, standardised, and scikit-learn's solver of the same kind."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    table = pq.read_table(folder, columns=["visual"])
    values = table["visual"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    PCA(n_components, svd_solver="covariance_eigh").fit(StandardScaler().fit_transform(values))


def _measured(function: Callable[[str, int], None], folder: str, answer: multiprocessing.SimpleQueue) -> None:
    import sklearn.decomposition
    import sklearn.preprocessing  # noqa: F401  before the clock starts, as everything else is imported

    start = time.perf_counter()
    function(folder, 20)
    status = Path("/proc/self/status").read_text("utf-8")  # ru_maxrss would count what the parent had
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    answer.put((time.perf_counter() - start, peak / 1024**2))


def in_process(function: Callable[[str, int], None], folder: Path) -> tuple[float, float]:
    """Seconds and peak GiB, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=_measured, args=(function, str(folder), answer))
    process.start()
    process.join()
    return answer.get()


def reduction_rows(folder: Path, n: int, d: int) -> list[Row]:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(40, d)).astype(np.float32)
    schema = pa.schema({"visual": pa.list_(pa.float32())})
    with pq.ParquetWriter(folder / "part-0.parquet", schema) as writer:
        for start in range(0, n, 2048):
            rows = min(2048, n - start)
            hidden = generator.normal(size=(rows, 40)).astype(np.float32)
            values = hidden @ mixing + generator.normal(size=(rows, d)).astype(np.float32)
            lists = pa.ListArray.from_arrays(
                pa.array(np.arange(rows + 1, dtype=np.int32) * d), pa.array(values.ravel())
            )
            writer.write_table(pa.table({"visual": lists}, schema=schema))
    seconds, peak = in_process(ours_reduced, folder)
    reference_seconds, reference_peak = in_process(sklearn_reduced, folder)
    size = f"PCA of {n:,} x {d:,}"
    return [
        Row(f"{size}: time / scikit-learn in memory", seconds, reference_seconds, "s", 1.5, False),
        Row(f"{size}: peak memory / scikit-learn in memory", peak, reference_peak, "GiB", 1, False),
        Row(f"{size}: peak memory / 2 GB", peak, 2e9 / GIB, "GiB", 1, False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    size = (100_000, 4710) if args.full else (20_000, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = [feed_rows(folder / "small", N_ROWS, 20), feed_rows(folder / "large", N_ROWS, 1024)]
        of_a_step, notes = step_rows(folder / "step", N_ROWS // 5)
        rows += of_a_step
        rows += reduction_rows(folder / "wide", *size)
    finish("Training VSCNN", rows, args.json, notes)


if __name__ == "__main__":
    main()
