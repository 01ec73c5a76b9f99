"""The models that VSCNN is compared with (VSCNN, sections IV-C and V-A 2), from scikit-learn with the paper's settings.

| name | model |
|---|---|
| lr | least squares; the paper descends the same loss by gradient |
| svr | C 3, epsilon 0.1, RBF, gamma 1 / d; above `svr_max_rows` Nystroem features with a linear SVR |
| dtr | CART of depth 10 |
| gbdt | 2,000 trees of depth 10, rate 0.01; above `gbdt_max_rows` on 256 bins of each value |
| mean | the mean label of the training split |
| user_mean | the user's mean label in the training split, and the mean of all for users without posts there |

SVR's time grows with the square of its rows, and exact splits of 2,000 trees with their number times the rows: the
other forms give the same kind of model in useful time. What was used, and why, is `used` of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR, LinearSVR
from sklearn.tree import DecisionTreeRegressor

from popspark.training.settings import BaselineSettings

Values = npt.NDArray[Any]

SVR_C, SVR_EPSILON = 3.0, 0.1
DEPTH = 10
GBDT_RATE = 0.01


@dataclass(frozen=True)
class Fitted:
    """predict: values (N, d) to (N,). used: what the model is, for the report."""

    predict: Callable[[Values], Values]
    used: str


def _svr(n_rows: int, n_values: int, s: BaselineSettings) -> tuple[RegressorMixin, str]:
    if n_rows <= s.svr_max_rows:
        return SVR(C=SVR_C, epsilon=SVR_EPSILON, kernel="rbf", gamma="auto"), "SVR with RBF kernel, as published"
    features = Nystroem("rbf", gamma=1 / n_values, n_components=s.nystroem_features, random_state=0)
    linear = LinearSVR(C=SVR_C, epsilon=SVR_EPSILON, random_state=0, max_iter=10_000)
    used = f"{s.nystroem_features:,} Nystroem features of the RBF kernel and a linear SVR"
    return make_pipeline(features, linear), f"{used}: {n_rows:,} rows are more than {s.svr_max_rows:,}"


def _gbdt(n_rows: int, s: BaselineSettings) -> tuple[RegressorMixin, str]:
    used = f"{s.gbdt_trees:,} trees of depth {DEPTH}"
    if n_rows <= s.gbdt_max_rows:
        exact = GradientBoostingRegressor(
            n_estimators=s.gbdt_trees, max_depth=DEPTH, learning_rate=GBDT_RATE, random_state=0
        )
        return exact, f"{used}, exact splits{', as published' if s.gbdt_trees == 2_000 else ' (published: 2,000)'}"
    binned = HistGradientBoostingRegressor(
        max_iter=s.gbdt_trees,
        max_depth=DEPTH,
        max_leaf_nodes=None,
        learning_rate=GBDT_RATE,
        early_stopping=False,
        random_state=0,
    )
    return binned, f"{used} on binned values: {n_rows:,} rows are more than {s.gbdt_max_rows:,}"


def fit_baseline(name: str, values: Values, labels: Values, settings: BaselineSettings) -> Fitted:
    """name: lr, svr, dtr or gbdt. values: reduced features (N, d), float32. labels: (N,)."""
    models: dict[str, Callable[[], tuple[RegressorMixin, str]]] = {
        "lr": lambda: (LinearRegression(), "least squares, exact"),
        "svr": lambda: _svr(len(values), values.shape[1], settings),
        "dtr": lambda: (DecisionTreeRegressor(max_depth=DEPTH, random_state=0), f"depth {DEPTH}, as published"),
        "gbdt": lambda: _gbdt(len(values), settings),
    }
    model, used = models[name]()
    return Fitted(model.fit(values, labels).predict, used)


def fit_mean(labels: Values) -> Fitted:
    """The same for everyone; its rho is not defined."""
    mean = float(np.mean(labels, dtype=np.float64))
    return Fitted(lambda rows: np.full(len(rows), mean), "mean label of the training split")


def fit_user_mean(users: Values, labels: Values) -> Fitted:
    """`predict` takes user ids (N,)."""
    means = pd.Series(labels, dtype=np.float64).groupby(np.asarray(users)).mean()
    mean = float(np.mean(labels, dtype=np.float64))

    def predict(rows: Values) -> Values:
        known: Values = means.reindex(rows).fillna(mean).to_numpy()
        return known

    return Fitted(predict, "user's mean label in the training split; the mean of all for other users")
