"""The pandas UDFs behind the SQL functions: images, as uris or bytes, to structs, each in one pass.

Each image is decoded once per batch of rows, however often it stands in it. Bundles and networks are kept per worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column
from pyspark.sql import types as t
from pyspark.sql.pandas.functions import pandas_udf
from scipy.special import expit

from popspark.features.extraction import Extraction, open_extractor
from popspark.features.extractor import Extracted, Extractor
from popspark.images.references import references_of
from popspark.models.bundle import Bundle
from popspark.models.contributions import contributions
from popspark.models.predictor import Predictor
from popspark.models.shipping import load_shipped
from popspark.runtime.errors import ConfigError
from popspark.storage.schemas.table import DOUBLE, STRING
from popspark.storage.social_values import SOCIAL_COLUMNS, SOCIAL_NAMES
from popspark.storage.tables import SOCIAL_FEATURES

STATE = {"status": STRING, "error": STRING}
SCORE = {"score": DOUBLE, "percentile": DOUBLE, **STATE}
BEATS = {"probability": DOUBLE, "score_l": DOUBLE, "score_r": DOUBLE, **STATE}
Given = tuple[pd.Series, pd.DataFrame | None]


def _struct(fields: Mapping[str, t.DataType]) -> t.StructType:
    return t.StructType([t.StructField(name, kind) for name, kind in fields.items()])


def parse_arguments(batch: Any, function: str) -> Given:
    """(images, social or None) of a batch of a call `function(image)` or `function(image, struct)`; on executors.

    Raises `ConfigError` for arguments of another kind, which only the query shows.
    """
    columns = batch if isinstance(batch, tuple) else (batch,)
    if len(columns) > 2 or not all(isinstance(c, bytes | str) for c in columns[0].dropna().iloc[:1]):
        raise ConfigError(f"{function} takes an image (a uri, or bytes), and optionally a struct of social values.")
    social = columns[1] if len(columns) == 2 else None
    legal = SOCIAL_FEATURES.columns
    if social is not None and (not isinstance(social, pd.DataFrame) or not set(social.columns) <= set(legal)):
        names = list(social.columns) if isinstance(social, pd.DataFrame) else "no struct"
        raise ConfigError(f"{function}: these are no social values.", got=names, legal=", ".join(legal))
    return columns[0], social


def _social_values(social: pd.DataFrame | None, n_rows: int) -> npt.NDArray[np.float64]:
    """(N, 34); 0 where nothing is known, as in `popspark.posts.social`."""
    if social is None:
        return np.zeros((n_rows, len(SOCIAL_NAMES)))
    return social.reindex(columns=list(SOCIAL_NAMES)).astype(np.float64).fillna(0.0).to_numpy()


def _extract_each_once(extractor: Extractor, images: Sequence[bytes | str | None]) -> list[Extracted]:
    different = list(dict.fromkeys(images))
    extracted = dict(zip(different, extractor.extract(references_of(pd.Series(different, dtype=object))), strict=True))
    return [extracted[image] for image in images]


def _stack(rows: Sequence[Extracted], families: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    return {name: np.stack([row.values[name] for row in rows]) for name in families}


def _refuse_infinite(table: pd.DataFrame) -> pd.DataFrame:
    """Values beyond all measure make scores that are none: such a row keeps its status and error only."""
    bad = (table["status"] == "ok") & ~np.isfinite(table["score"])
    table.loc[bad, table.columns.difference(list(STATE))] = np.nan
    table.loc[bad, list(STATE)] = ["failed", "the score is not finite"]
    return table


class _Scorer:
    """A bundle over the extractor of the running task."""

    def __init__(self, predictor: Predictor, extractor: Extractor) -> None:
        self.predictor, self.extractor = predictor, extractor
        self.families = list(predictor.bundle.feature_versions)

    def _refuse(
        self, contents: Sequence[bytes | str | None], columns: Sequence[str]
    ) -> tuple[pd.DataFrame, list[Extracted]]:
        """A table with status and error of each row and NaN in all other columns; and what was extracted."""
        rows = _extract_each_once(self.extractor, contents)
        table = pd.DataFrame(np.nan, index=range(len(rows)), columns=list(columns))
        for name in STATE:
            table[name] = pd.Series([getattr(row, name) for row in rows], dtype=object)
        return table, rows

    def score(self, contents: Sequence[bytes | str | None], social: npt.NDArray[np.float64]) -> pd.DataFrame:
        """`SCORE`, a row per image."""
        table, rows = self._refuse(contents, ["score", "percentile"])
        good = np.flatnonzero(table["status"] == "ok")
        if len(good):
            values = _stack([rows[n] for n in good], self.families)
            projected = sum(self.predictor.project(name, of_family) for name, of_family in values.items())
            scores = self.predictor.score(np.asarray(projected), social[good])
            table.loc[good, "score"] = scores
            table.loc[good, "percentile"] = self.predictor.bundle.percentile(scores)
        return _refuse_infinite(table)

    def contribute(
        self, contents: Sequence[bytes | str | None], social: npt.NDArray[np.float64], groups: dict[str, slice]
    ) -> pd.DataFrame:
        """score, baseline and a column per family and group; a row per image."""
        table, rows = self._refuse(contents, ["score", "baseline", *self.families, *groups])
        good = np.flatnonzero(table["status"] == "ok")
        if len(good):
            values = _stack([rows[n] for n in good], self.families)
            shares, baseline = contributions(self.predictor, values, social[good], groups)
            for name, share in shares.items():
                table.loc[good, name] = share
            table.loc[good, "baseline"] = baseline
            table.loc[good, "score"] = baseline + sum(shares.values())
        return _refuse_infinite(table)


def _open_scorer(archive_name: str, extractor: Extractor) -> _Scorer:
    predictor = load_shipped(archive_name)
    if predictor.bundle.network:
        import torch

        torch.set_num_threads(1)
    return _Scorer(predictor, extractor)


def build_score(extraction: Extraction, bundle: Bundle, function: str) -> Callable[..., Column]:
    """(image[, struct of social values]) to `SCORE`. The bundle was shipped."""
    archive_name = bundle.archive_name

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        """`SCORE` of images; on executors."""
        with open_extractor(extraction) as extractor:
            scorer = _open_scorer(archive_name, extractor)
            for batch in batches:
                contents, social = parse_arguments(batch, function)
                yield scorer.score(list(contents), _social_values(social, len(contents)))[list(SCORE)]

    return pandas_udf(score, _struct(SCORE)).asNondeterministic()  # type: ignore[call-overload]


def build_beats(extraction: Extraction, bundle: Bundle, function: str) -> Callable[..., Column]:
    """(image l, image r) to `BEATS`: sigmoid(score of l - score of r), as the ranker was trained."""
    archive_name = bundle.archive_name

    def beats(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        """`BEATS` of two images; on executors."""
        with open_extractor(extraction) as extractor:
            scorer = _open_scorer(archive_name, extractor)
            for batch in batches:
                if not isinstance(batch, tuple) or len(batch) != 2:
                    raise ConfigError(f"{function} takes two images (uris, or bytes).")
                sides = [list(parse_arguments(side, function)[0]) for side in batch]
                n_rows = len(sides[0])
                both = scorer.score([*sides[0], *sides[1]], _social_values(None, 2 * n_rows))
                left, right = both[:n_rows], both[n_rows:].reset_index(drop=True)
                left_is_good = left["status"] == "ok"
                error = right["error"].radd("r: ").where(left_is_good, left["error"].radd("l: "))
                yield pd.DataFrame(
                    {
                        "probability": expit(left["score"] - right["score"]),
                        "score_l": left["score"],
                        "score_r": right["score"],
                        "status": right["status"].where(left_is_good, left["status"]),
                        "error": error,
                    }
                )

    return pandas_udf(beats, _struct(BEATS)).asNondeterministic()  # type: ignore[call-overload]


def build_contributions(extraction: Extraction, bundle: Bundle, function: str) -> Callable[..., Column]:
    """(image[, struct of social values]) to score, baseline, a value per family and group, status and error.

    Groups are those of the social values, null where none were given.
    """
    archive_name = bundle.archive_name
    groups = SOCIAL_COLUMNS if bundle.needs_social else {}
    sharers = [*(family.name for family in extraction.planned), *groups]
    schema = {"score": DOUBLE, "baseline": DOUBLE, **dict.fromkeys(sharers, DOUBLE), **STATE}

    def contribute(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        """Contributions to the score of images; on executors."""
        with open_extractor(extraction) as extractor:
            scorer = _open_scorer(archive_name, extractor)
            for batch in batches:
                contents, social = parse_arguments(batch, function)
                known = groups if social is not None else {}
                table = scorer.contribute(list(contents), _social_values(social, len(contents)), known)
                yield table.reindex(columns=list(schema))

    return pandas_udf(contribute, _struct(schema)).asNondeterministic()  # type: ignore[call-overload]
