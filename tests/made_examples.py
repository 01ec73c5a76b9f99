"""Examples tables made from numbers, as Spark would write them, for tests that need no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from popspark.storage.examples import SPLITS, ExamplesRecord
from popspark.storage.social_values import SOCIAL_NAMES

FAMILIES = {"color": 32, "lbp": 59, "aesthetic": 11, "efficientnet_lite0": 40}
N_VISUAL = sum(FAMILIES.values())


def made_record(families: Mapping[str, int] = FAMILIES, mode: str = "paper") -> ExamplesRecord:
    """What stands in <examples>.json."""
    values = {
        "features": [{"name": n, "version": "1", "dim": d, "weights": None} for n, d in families.items()],
        "social": {"mode": mode, "names": list(SOCIAL_NAMES)},
        "label": {"rule": "flickr_views", "options": {}},
        "split": {"strategy": "random", "seed": 0, "group_by": None},
        "is_simulated": True,
        "rows": {"ok": 0},
        "splits": {split: {"posts": 80, "images": 40, "mean_label": 6.5} for split in SPLITS},
    }
    return ExamplesRecord.model_validate(values)


def write_examples(
    folder: Path,
    visual: npt.NDArray[Any],
    social: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    users: npt.NDArray[Any],
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
) -> Path:
    """Rows in order: the first share trains, the last tests. A share of 0 leaves its split out."""
    n = len(labels)
    ends = np.round(np.cumsum([0.0, *shares]) * n).astype(int)
    for split, start, stop in zip(SPLITS, ends[:-1], ends[1:], strict=True):
        if start == stop:
            continue
        part = slice(start, stop)
        columns = {
            "post_id": [f"p{i}" for i in range(start, stop)],
            "user_id": [str(user) for user in users[part]],
            "label": labels[part].astype(np.float32),
            "visual": pa.array(list(visual[part].astype(np.float32)), pa.list_(pa.float32())),
            "social": pa.array(list(social[part].astype(np.float32)), pa.list_(pa.float32())),
        }
        (folder / f"split={split}").mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / f"split={split}" / "part-0.parquet")
    return folder


def made_rows(n: int, seed: int = 0) -> tuple[npt.NDArray[Any], ...]:
    """visual (n, 142), social (n, 34), labels (n,), users (n,): the label is the user's, the picture's and noise."""
    generator = np.random.default_rng(seed)
    users = generator.integers(0, 12, n)
    effects = generator.normal(size=12)
    hidden = generator.normal(size=n)
    visual = hidden[:, None] * generator.normal(size=N_VISUAL) + 0.3 * generator.normal(size=(n, N_VISUAL))
    social = generator.normal(size=(n, 34))
    social[:, :2] += 3 * effects[users][:, None]
    labels = effects[users] + 0.7 * hidden + 0.3 * generator.normal(size=n)
    return visual, social, labels, users
