"""The streamed PCA against scikit-learn's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from popspark.runtime.errors import TrainingError
from popspark.training import reduction
from popspark.training.reduction import fit_reduction, read_matrices

RNG = np.random.default_rng(8)


def write(folder: Path, values: np.ndarray, n_files: int = 1) -> list[Path]:
    """Columns `visual` and, of the last two values, `social`."""
    folder.mkdir(exist_ok=True)
    for part, rows in enumerate(np.array_split(values.astype(np.float32), n_files)):
        table = pa.table({"visual": pa.array(list(rows[:, :-2])), "social": pa.array(list(rows[:, -2:]))})
        pq.write_table(table, folder / f"part-{part}.parquet")
    return sorted(folder.glob("*.parquet"))


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Correlated, on scales from 0.1 to 1,000, and far from zero."""
    mixed = RNG.normal(size=(500, 12)) @ RNG.normal(size=(12, 12))
    return (mixed * np.logspace(-1, 3, 12) + 50 * np.logspace(-1, 3, 12)).astype(np.float32)


@pytest.mark.parametrize("scale_first", [True, False])
@pytest.mark.parametrize("n_files", [1, 7])
def test_it_is_scikit_learn_s_up_to_the_sign(
    values: np.ndarray, scale_first: bool, n_files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduction, "BATCH_ROWS", 64)
    found = fit_reduction(write(tmp_path / "t", values, n_files), ["visual", "social"], 5, scale_first)
    scaler = StandardScaler(with_std=scale_first)
    projected = PCA(5, svd_solver="full").fit_transform(scaler.fit_transform(values.astype(np.float64)))
    expected = projected / projected.std(axis=0)
    ours = found(values)
    signs = np.sign((ours * expected).sum(axis=0))
    np.testing.assert_allclose(ours * signs, expected, atol=1e-4)
    assert {getattr(found, name).dtype for name in reduction.Reduction.__dataclass_fields__} == {np.dtype(np.float32)}


def test_signs_do_not_depend_on_how_the_rows_lie(values: np.ndarray, tmp_path: Path) -> None:
    one = fit_reduction(write(tmp_path / "one", values), ["visual", "social"], 4, True)
    other = fit_reduction(write(tmp_path / "other", values[::-1], 5), ["visual", "social"], 4, True)
    np.testing.assert_allclose(one.components, other.components, atol=1e-4)


def test_only_the_columns_asked_for(values: np.ndarray, tmp_path: Path) -> None:
    files = write(tmp_path / "t", values)
    social = fit_reduction(files, ["social"], 2, True)
    assert social.components.shape == (2, 2)
    np.testing.assert_allclose(social.center, values[:, -2:].mean(axis=0), rtol=1e-5)
    swapped = np.vstack(list(read_matrices(files, ["social", "visual"])))
    np.testing.assert_array_equal(swapped, np.hstack([values[:, -2:], values[:, :-2]]))


def test_a_constant_column_adds_nothing(values: np.ndarray, tmp_path: Path) -> None:
    with_constant = np.hstack([np.full((len(values), 1), 0.1, np.float32), values])
    found = fit_reduction(write(tmp_path / "with", with_constant), ["visual", "social"], 4, True)
    without = fit_reduction(write(tmp_path / "without", values), ["visual", "social"], 4, True)
    np.testing.assert_allclose(found.components[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(found(with_constant), without(values), atol=1e-4)


def test_components_without_variance_stay_zero(tmp_path: Path) -> None:
    line = np.outer(RNG.normal(size=50), [1.0, 2.0, 3.0, 4.0])
    found = fit_reduction(write(tmp_path / "t", line), ["visual", "social"], 3, True)
    reduced = found(line)
    np.testing.assert_allclose(reduced[:, 0].std(), 1, rtol=1e-4)
    np.testing.assert_allclose(reduced[:, 1:], 0, atol=1e-4)
    unlike = found(RNG.normal(size=(50, 4)).astype(np.float32))  # off the line, as a photograph of another split may be
    assert unlike[:, 0].std() > 0
    np.testing.assert_array_equal(unlike[:, 1:], 0)


@pytest.mark.parametrize(("n_rows", "n_components"), [(3, 4), (20, 7)])
def test_too_few_rows_or_values(n_rows: int, n_components: int, tmp_path: Path) -> None:
    files = write(tmp_path / "t", RNG.normal(size=(n_rows, 6)))
    with pytest.raises(TrainingError) as raised:
        fit_reduction(files, ["visual", "social"], n_components, True)
    assert str(raised.value) == (
        "Too few rows or values for the reduction.\n"
        f"  where: {tmp_path / 't'}, columns visual, social\n"
        f"  got: {n_rows} rows of 6 values\n"
        f"  legal: at least {n_components} of each\n"
        "  fix: train on more posts, or reduce to fewer components"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(values: np.ndarray, bad: float, tmp_path: Path) -> None:
    spoilt = values.copy()
    spoilt[400, [3, 9]] = bad
    with pytest.raises(TrainingError) as raised:
        fit_reduction(write(tmp_path / "t", spoilt, 3), ["visual", "social"], 2, True)
    assert str(raised.value) == (
        "Training features hold values that are not finite.\n"
        "  got: 2 columns, the first at 3\n"
        "  fix: exclude these rows when the examples are built"
    )
