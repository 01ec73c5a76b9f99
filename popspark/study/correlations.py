"""Facts of the data before any model: correlations and the 80-20 shares, from all splits of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds

from popspark.evaluation.metrics import bootstrap, spearman_rho
from popspark.training.reduction import stack_columns

Values = npt.NDArray[Any]
TOP_SHARE = 0.2


def read_social(files: Sequence[Path]) -> tuple[Values, Values, Values]:
    """users (N,), labels (N,), social values (N, 34) of the examples in Parquet files."""
    table = ds.dataset(list(files), format="parquet").to_table(columns=["user_id", "label", "social"])
    users = table["user_id"].to_numpy(zero_copy_only=False)
    social = np.vstack([stack_columns(batch, ("social",)) for batch in table.to_batches() if batch.num_rows])
    return users, table["label"].to_numpy(), social


def correlations(social: Values, labels: Values, names: Sequence[str], n_resamples: int) -> dict[str, dict[str, float]]:
    """Spearman's rho of each of the first social values with the label; NaN for a constant one."""
    return {name: asdict(bootstrap(spearman_rho, labels, social[:, i], n_resamples)) for i, name in enumerate(names)}


def popular_shares(users: Values, labels: Values, user_views: Values) -> dict[str, dict[str, float]]:
    """The 80-20 rule (section V-B 1): the share of popular images among those of popular and of common users.

    Popular are the images with the top fifth of labels, and the users with the top fifth of average views. mean: over
    users, each counted once, as published; pooled: over their images.
    """
    is_popular = labels >= np.quantile(labels, 1 - TOP_SHARE)
    _, first, inverse = np.unique(users, return_index=True, return_inverse=True)
    views = user_views[first]
    shares = np.bincount(inverse, weights=is_popular) / np.bincount(inverse)
    is_top = views >= np.quantile(views, 1 - TOP_SHARE)
    groups = {"popular users": is_top, "common users": ~is_top}
    return {
        title: {
            "mean": float(shares[chosen].mean()) if chosen.any() else float("nan"),
            "pooled": float(is_popular[chosen[inverse]].mean()) if chosen.any() else float("nan"),
            "n_users": int(chosen.sum()),
        }
        for title, chosen in groups.items()
    }
