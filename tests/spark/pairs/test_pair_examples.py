"""Pairs joined with their photographs: half of them missing, some broken, some alike, some in several splits."""

from __future__ import annotations

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import DataFrame, Row, SparkSession

from popspark.images.decode import decode, sha256
from popspark.images.limits import DEFAULT_LIMITS
from popspark.pairs.examples import join_pair_examples, judge_pairs, make_thumbnails
from popspark.pairs.settings import PairLimits
from popspark.storage.tables import IMAGE_BLOBS, PAIR_EXAMPLES, PAIR_POSTS, PAIRS, THUMBNAILS

SPLITS = ("train", "valid", "test")
N_POSTS = 60  # of each split's user; pairs of neighbours
BROKEN, REFUSED, COPY = 3, 5, 7  # posts of the user of each split


def jpeg(seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (6, 8, 3)).astype(np.uint8).repeat(50, 0).repeat(50, 1)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def image(image_id: str, content: bytes, status: str = "ok") -> tuple:
    values = {"image_id": image_id, "content": content, "sha256": sha256(content), "n_bytes": len(content)}
    return tuple(
        {**dict.fromkeys(IMAGE_BLOBS.columns), **values, "status": status}[name] for name in IMAGE_BLOBS.columns
    )


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> tuple[DataFrame, DataFrame, DataFrame]:
    """images, pairs and pair_posts of one user a split. Post n shows photograph n of its own; posts 40 to 49 of every
    split show the same ten; from 50 on they are missing.
    """
    images = [image(f"shared/{n}.jpg", jpeg(1000 + n)) for n in range(40, 50)]
    posts, pairs = [], []
    for place, split in enumerate(SPLITS):
        for n in range(N_POSTS):
            image_id = f"shared/{n}.jpg" if 40 <= n < 50 else f"{split}/{n}.jpg"
            if n < 40:
                content = jpeg(100 * place + (n - 1 if n == COPY else n))
                content = content[:300] if n == BROKEN else content
                images.append(image(image_id, content, "too_large" if n == REFUSED else "ok"))
            post = dict.fromkeys(PAIR_POSTS.columns) | {"post_id": f"{split}{n:02d}", "user_id": split, "split": split}
            post |= {"user_key": split, "image_id": None if n == 0 else image_id, "popularity": float(n)}
            posts.append(tuple(post.values()))
            if n:
                ids = (f"{split}{n - 1:02d}", f"{split}{n:02d}", split)
                pairs.append((*ids, n - 1.0, float(n), -1.0, 0.1, "twitter", split))
    duplicate = dict(zip(PAIR_POSTS.columns, posts[1], strict=True)) | {"removed_by": "unique_post_id"}
    posts.append(tuple(duplicate.values()))
    return (
        spark.createDataFrame(images, IMAGE_BLOBS.schema),
        spark.createDataFrame(pairs, PAIRS.schema),
        spark.createDataFrame(posts, PAIR_POSTS.schema),
    )


@pytest.fixture(scope="module")
def made(tables: tuple[DataFrame, DataFrame, DataFrame]) -> tuple[DataFrame, DataFrame]:
    """thumbnails and the judged pairs."""
    images, pairs, posts = tables
    thumbnails = make_thumbnails(images, pairs, posts, DEFAULT_LIMITS).localCheckpoint()
    return thumbnails, judge_pairs(pairs, posts, thumbnails, seed=0).localCheckpoint()


def number(row: Row) -> int:
    return int(row.post_id_r[-2:])


def test_each_pair_has_one_row_and_its_reason(made: tuple[DataFrame, DataFrame]) -> None:
    rows = made[1].collect()
    assert len(rows) == len(SPLITS) * (N_POSTS - 1)
    for row in rows:
        expected = {
            1: "no_image",
            BROKEN: "corrupt",
            BROKEN + 1: "corrupt",
            REFUSED: "too_large",
            COPY: "same_image",
        }
        expected |= {REFUSED + 1: "too_large"} | dict.fromkeys(range(50, N_POSTS), "missing")
        if not 40 <= number(row) < 50:
            assert row.status == expected.get(number(row), "ok"), row.post_id_r
        else:
            assert row.status in ("ok", "image_of_other_split")


def test_a_photograph_stands_in_one_split(made: tuple[DataFrame, DataFrame]) -> None:
    homes: dict[str, set[str]] = {}
    for row in made[1].where("status = 'ok'").collect():
        for photograph in (row.sha256_l, row.sha256_r):
            homes.setdefault(photograph, set()).add(row.split)
    assert {len(splits) for splits in homes.values()} == {1}
    other = Counter(number(row) for row in made[1].where("status = 'image_of_other_split'").collect())
    assert set(other) == set(range(40, 50))
    assert all(n >= 2 for n in other.values())  # of three splits, two at least do not have it


def test_examples_hold_what_was_known(
    made: tuple[DataFrame, DataFrame], tables: tuple[DataFrame, DataFrame, DataFrame]
) -> None:
    thumbnails, judged = made
    examples = join_pair_examples(judged, thumbnails, PairLimits(), seed=0)
    assert examples.columns == list(PAIR_EXAMPLES.columns)
    rows = examples.collect()
    assert len(rows) == judged.where("status = 'ok'").count() > 60
    contents = {row.sha256: bytes(row.content) for row in tables[0].collect()}
    for row in rows[:10]:
        for side in ("l", "r"):
            small, whole = decode(bytes(row[f"thumbnail_{side}"])), decode(contents[row[f"sha256_{side}"]])
            assert small.shape == (256, 341, 3)
            assert abs(small.mean() - whole.mean()) < 2
            assert row[f"brightness_{side}"] == pytest.approx(whole.mean() / 255)
            assert row[f"n_bytes_{side}"] == len(contents[row[f"sha256_{side}"]])
            assert row[f"user_popularity_{side}"] == pytest.approx(np.arange(N_POSTS).mean())
    again = join_pair_examples(judged, thumbnails, PairLimits(), seed=0).collect()
    assert [row.post_id_l for row in again] == [row.post_id_l for row in rows]


def test_a_limit_keeps_about_so_many(made: tuple[DataFrame, DataFrame]) -> None:
    examples = join_pair_examples(made[1], made[0], PairLimits(train=15, valid=1000, test=5), seed=1)
    kept = {row.split: row["count"] for row in examples.groupBy("split").count().collect()}
    found = {row.split: row["count"] for row in made[1].where("status = 'ok'").groupBy("split").count().collect()}
    assert kept["valid"] == found["valid"]
    assert 6 <= kept["train"] <= 24
    assert kept["test"] <= 12


def test_only_photographs_of_pairs_are_made_small(
    made: tuple[DataFrame, DataFrame], tables: tuple[DataFrame, DataFrame, DataFrame]
) -> None:
    assert made[0].columns == list(THUMBNAILS.columns)
    images, pairs, posts = tables
    some = make_thumbnails(images, pairs.where("post_id_l = 'train10'"), posts, DEFAULT_LIMITS)
    assert sorted(row.image_id for row in some.collect()) == ["train/10.jpg", "train/11.jpg"]


def test_no_pairs_give_no_examples(
    made: tuple[DataFrame, DataFrame], tables: tuple[DataFrame, DataFrame, DataFrame]
) -> None:
    judged = judge_pairs(tables[1].limit(0), tables[2], made[0], seed=0)
    assert join_pair_examples(judged, made[0], PairLimits(), seed=0).collect() == []
