"""The effect of an image on a simulated count: a stated function of three statistics that anyone can see in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from popspark.images.decode import ImageRefused, decode
from popspark.images.limits import DEFAULT_LIMITS
from popspark.images.references import references_of
from popspark.images.table import reference
from popspark.runtime.session import spread

N_TASKS = 16
"""That measure images: a few bytes a row, and a long time."""
STATISTIC_WEIGHTS = {"brightness": 0.5, "saturation": 0.7, "contrast": 0.5}
"""Of the standardised statistics in the image effect, which is then standardised itself."""


def measure(image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Mean and standard deviation of V and mean of S (HSV), each in 0..1, of a uint8 (H, W, 3) RGB image."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return {
        "brightness": float(hsv[..., 2].mean() / 255),
        "saturation": float(hsv[..., 1].mean() / 255),
        "contrast": float(hsv[..., 2].std() / 255),
    }


def _measure_all(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """One row an image that decodes; on executors."""
    for batch in batches:
        rows = []
        for image_id, image in zip(batch["image_id"], references_of(batch), strict=True):
            try:
                rows.append({"image_id": image_id, **measure(decode(image.read(DEFAULT_LIMITS)))})
            except ImageRefused:
                continue  # a refused image moves nobody: posts that show it get effect 0
        yield pd.DataFrame(rows, columns=["image_id", *STATISTIC_WEIGHTS])


def measure_images(images: DataFrame) -> DataFrame:
    """image_id, image_number (0.. in the order of the ids), image_effect (mean 0, deviation 1 over the images).

    images: the images table. Images of a status other than ok, and those that do not decode, are left out. Where all
    images are alike, the effect is 0.
    """
    usable = (
        images.where("status = 'ok'").select("image_id", reference(images).alias("image")).select("image_id", "image.*")
    )
    usable = spread(usable, N_TASKS, "image_id")
    schema = "image_id string, " + ", ".join(f"{name} double" for name in STATISTIC_WEIGHTS)
    by_id = Window.orderBy("image_id")  # a few numbers an image: a million fit one task
    all_of_them = by_id.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)

    def standardised(name: str) -> Column:
        value = F.col(name)
        spread = F.stddev_pop(value).over(all_of_them)
        return F.coalesce(F.try_divide(value - F.avg(value).over(all_of_them), spread), F.lit(0.0))

    measured = usable.mapInPandas(_measure_all, schema)
    total = F.lit(0.0)
    for name, weight in STATISTIC_WEIGHTS.items():
        total = total + weight * standardised(name)
    summed = measured.select("image_id", total.alias("total"))
    number = (F.row_number().over(by_id) - 1).cast("long")
    return summed.select("image_id", number.alias("image_number"), standardised("total").alias("image_effect"))
