"""What of a simulated count can be seen in the image."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from popspark.simulation.image_effects import measure, measure_images
from popspark.storage.tables import IMAGE_BLOBS


def png(image: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def flat(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((8, 8, 3), (red, green, blue), np.uint8)


def images(spark, contents: dict[str, bytes], status: str = "ok"):
    rows = [(name, None, len(content), 8, 8, "PNG", status, None, content) for name, content in contents.items()]
    return spark.createDataFrame(rows, IMAGE_BLOBS.schema)


@pytest.mark.parametrize(
    ("image", "brightness", "saturation", "contrast"),
    [
        (flat(0, 0, 0), 0, 0, 0),
        (flat(255, 255, 255), 1, 0, 0),
        (flat(255, 0, 0), 1, 1, 0),
        (np.concatenate([flat(0, 0, 0), flat(255, 255, 255)]), 0.5, 0, 0.5),
    ],
)
def test_statistics_of_plain_images(image, brightness, saturation, contrast):
    assert measure(image) == {"brightness": brightness, "saturation": saturation, "contrast": contrast}


def test_two_images_stand_one_deviation_either_side(spark):
    rows = measure_images(images(spark, {"red": png(flat(255, 0, 0)), "black": png(flat(0, 0, 0))}))
    assert rows.orderBy("image_id").collect() == [("black", 0, -1.0), ("red", 1, 1.0)]


def test_images_all_alike_have_no_effect(spark):
    rows = measure_images(images(spark, {"a": png(flat(9, 9, 9)), "b": png(flat(9, 9, 9))}))
    assert [row.image_effect for row in rows.collect()] == [0.0, 0.0]


def test_what_is_refused_or_does_not_decode_is_left_out(spark):
    table = images(spark, {"good": png(flat(9, 9, 9)), "broken": b"not an image"})
    table = table.union(images(spark, {"refused": png(flat(1, 1, 1))}, status="too_large"))
    assert [row.image_id for row in measure_images(table).collect()] == ["good"]
