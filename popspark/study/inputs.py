"""The study's inputs, by Spark: examples of every split strategy and feature mode, and the images of its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from popspark.features.settings import FeatureSettings
from popspark.images.limits import DEFAULT_LIMITS
from popspark.images.table import thumbnails
from popspark.posts.examples import write_examples
from popspark.posts.settings import LabelSettings, SplitGroup, SplitSettings
from popspark.posts.social import MODES
from popspark.posts.splits import STRATEGIES
from popspark.runtime.errors import LeakError
from popspark.storage.examples import ExamplesRecord
from popspark.study.cells import Cell, key_of


def build_cells(
    posts: DataFrame,
    images: DataFrame,
    image_features: DataFrame,
    folder: Path,
    *,
    features: FeatureSettings,
    label: LabelSettings,
    seed: int,
    group_by: SplitGroup | None,
    versions: Sequence[str | None],
    tell: Callable[[str], None],
) -> Iterator[Cell]:
    """Writes examples into `folder`, as far as they are not there for the same files and settings.

    versions: of the three tables, as `snapshot` of `popspark.storage.snapshots` gives them.

    A combination that leaks is a cell that says why it is refused.
    """
    files = sorted(name for table in (posts, images, image_features) for name in table.inputFiles())
    for strategy in STRATEGIES:
        for mode in MODES:
            split = SplitSettings(strategy=strategy, seed=seed, group_by=group_by)
            key = key_of(
                files, list(versions), features.model_dump(mode="json"), label.model_dump(), split.model_dump(), mode
            )
            path = folder / f"{strategy}-{mode}-{key}"
            try:
                if not Path(ExamplesRecord.path_beside(path)).is_file():
                    write_examples(
                        posts,
                        images,
                        image_features,
                        str(path),
                        features=features,
                        social_mode=mode,
                        label=label,
                        split=split,
                    )
                    tell(f"examples: {strategy}, {mode}")
                yield Cell(strategy, mode, key, path, ExamplesRecord.load(path))
            except LeakError as error:
                yield Cell(strategy, mode, refused=str(error))


def read_shown_images(
    posts: DataFrame, images: DataFrame, post_ids: Sequence[str], n_wanted: int
) -> list[dict[str, Any]]:
    """post_id and image (a data URI) of the first `n_wanted` posts, in order, whose images differ."""
    wanted = posts.where(posts.post_id.isin(list(post_ids))).select("post_id", "image_id")
    found = {row.post_id: row for row in wanted.join(images.select("image_id", "sha256"), "image_id").collect()}
    chosen: dict[str, Any] = {}
    for post_id in post_ids:
        if post_id in found and len(chosen) < n_wanted:
            chosen.setdefault(found[post_id].sha256, found[post_id])
    ids = [row.image_id for row in chosen.values()]
    small = thumbnails(images.where(images.image_id.isin(ids)), DEFAULT_LIMITS)
    shown = ((row.post_id, small.get(row.image_id)) for row in chosen.values())
    return [{"post_id": post_id, "image": image} for post_id, image in shown if image]
