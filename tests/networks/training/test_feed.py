"""Every row once per epoch, in an order that follows from the epoch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from popspark.runtime.errors import PathError, TrainingError
from popspark.training import feed
from popspark.training.feed import count_rows, parquet_files, read_epoch

N_ROWS = 112


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files with a row group for every three rows, in a folder whose name a URL would encode."""
    path = tmp_path_factory.mktemp("examples") / "split=train +20%"
    path.mkdir()
    for part, rows in enumerate((range(70), range(70, N_ROWS))):
        label = pa.array(rows, pa.float32())
        visual = pa.array([np.full(3, row, np.float32) for row in rows])
        pq.write_table(pa.table({"label": label, "visual": visual}), path / f"part-{part}.parquet", row_group_size=3)
    return path


def labels(folder: Path, epoch: int, batch_size: int = 20) -> list[float]:
    return [v for b in read_epoch(parquet_files(folder), ["label"], batch_size, epoch) for v in b["label"].tolist()]


def test_all_rows_arrive_once_with_their_values(folder: Path) -> None:
    batches = list(read_epoch(parquet_files(folder), ["label", "visual"], 20, 0))
    assert [len(batch["label"]) for batch in batches] == [20] * 5 + [12]
    assert all(list(batch) == ["label", "visual"] for batch in batches)
    found, visual = (torch.cat([batch[name] for batch in batches]) for name in ("label", "visual"))
    assert (found.dtype, visual.dtype, visual.shape) == (torch.float32, torch.float32, (N_ROWS, 3))
    assert sorted(found.tolist()) == list(range(N_ROWS))
    assert torch.equal(visual, found.unsqueeze(1).expand(-1, 3))


def test_the_order_follows_from_the_epoch_alone(folder: Path) -> None:
    first = labels(folder, 0)
    torch.rand(5)
    assert labels(folder, 0) == first
    second = labels(folder, 1)
    assert sorted(second) == sorted(first) == list(range(N_ROWS))
    n_in_place = sum(a == b for a, b in zip(first, second, strict=True))
    assert n_in_place < N_ROWS / 4
    assert abs(np.corrcoef(first, np.arange(N_ROWS))[0, 1]) < 0.5, "the rows came as they were written"


def test_a_lost_row_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "count_rows", lambda _: N_ROWS + 1)
    with pytest.raises(TrainingError) as raised:
        labels(folder, 0)
    assert str(raised.value) == (
        f"The feed lost or repeated rows.\n  where: {folder}\n"
        f"  got: {N_ROWS} rows arrived\n  legal: {N_ROWS + 1} rows were written"
    )


def test_a_reader_left_early_is_closed_without_a_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batches = read_epoch(parquet_files(folder), ["label"], 10, 0)
    next(batches)
    batches.close()
    assert capsys.readouterr().out == ""


def test_rows_are_counted_in_the_files_own_footers(folder: Path, tmp_path: Path) -> None:
    assert count_rows(parquet_files(folder)) == N_ROWS
    with pytest.raises(
        PathError, match=f"^There are no Parquet files to feed from.\n  where: {re.escape(str(tmp_path))}$"
    ):
        parquet_files(tmp_path)
