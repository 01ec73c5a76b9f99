"""Ingest of an SMPD-shaped export and the social values of its posts: growth in time and memory against the rows.

    python -m bench.ingest --sizes 100000 1000000

Growth is the time of the larger export over that of the smaller, against the ratio of their rows. Times are the
shortest of three runs after a first one, in which the JVM still compiles. Memory is the peak of the Python workers,
which read the export; the driver's JVM has 1 GiB for both sizes.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.table import Row, finish
from bench.timing import best_seconds
from popspark.ingest.accounting import write_posts
from popspark.ingest.exports import Options, parse_export
from popspark.posts.social import social_features
from popspark.runtime.session import get_session
from popspark.storage.tables import POSTS, REJECTS, SOCIAL_FEATURES
from popspark.storage.warehouse import read_table
from popspark.storage.writing import begin, write_table

WORDS = ("sea", "sun", "beach", "city", "night", "street", "food", "dog", "cat", "snow", "river", "travel", "art")


def write_export(folder: Path, n: int) -> None:
    """n posts of n / 20 users, some with many more than others, over 16 months, with titles and tags of words."""
    folder.mkdir(parents=True)
    draw = random.Random(n)
    n_users = max(n // 20, 1)
    keys = [(f"{int(n_users * draw.random() ** 2)}@N{n_users % 97}", str(100000 + i)) for i in range(n)]

    def table(name: str, fields: Callable[[int], dict[str, Any]]) -> None:
        def objects() -> Iterator[str]:
            for i, (uid, pid) in enumerate(keys):
                yield json.dumps({"Uid": uid, "Pid": pid, **fields(i)}, ensure_ascii=False)

        with (folder / f"train_{name}.json").open("w", encoding="utf-8") as out:
            out.write("[")
            for i, text in enumerate(objects()):
                out.write(f"{', ' if i else ''}{text}")
            out.write("]")

    def words(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    table("category", lambda i: {"Category": words(1, 1), "Subcategory": words(1, 1), "Concept": words(1, 1)})
    table("text", lambda i: {"Title": words(1, 8), "Mediatype": "photo", "Alltags": words(0, 15)})
    table(
        "temporalspatial_information",
        lambda i: {
            "Postdate": str(1446336000 + draw.randrange(486 * 86400)),
            "Latitude": "0",
            "Longitude": "0",
            "Geoaccuracy": "0",
        },
    )
    table("user_data", lambda i: {"photo_count": str(i % 5000), "ispro": i % 2, "timezone_id": "CET"})
    table(
        "additional_information", lambda i: {"Pathalias": f"name{i % n_users}", "Ispublic": "1", "Mediastatus": "ready"}
    )
    (folder / "train_img_filepath.txt").write_text("".join(f"train/{uid}/{pid}.jpg\n" for uid, pid in keys), "utf-8")
    (folder / "train_label.txt").write_text("".join(f"{draw.uniform(1, 16):.2f}\n" for _ in keys), "utf-8")


def find_peak(spark: Any) -> float:
    """The most memory that a Python worker of this session has had so far, in MB."""

    def read(batches: Iterable[Any]) -> Iterator[Any]:
        """On executors: this worker's own peak."""
        import pyarrow as pa

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"mb": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]})

    peaks = spark.range(0, 16, 1, 8).mapInArrow(read, "mb double").collect()
    return max(row.mb for row in peaks)


def measure(spark: Any, root: Path, n: int) -> dict[str, float]:
    """Seconds of the two steps on n posts, and the workers' peak memory in MB."""
    export, posts = root / f"export_{n}", str(root / f"posts_{n}")
    write_export(export, n)

    def ingest() -> None:
        parsed = parse_export(spark, "smpd", str(export), Options())
        with begin(spark, POSTS, posts) as written, begin(spark, REJECTS, str(root / f"rejects_{n}")) as rejects:
            counts = write_posts(parsed, "smpd", True, written, rejects)
        assert (counts.n_out, counts.n_rejected) == (n, {}), counts

    def compute_social() -> None:
        rows = social_features(spark, read_table(spark, POSTS, posts), "point_in_time")
        write_table(rows, SOCIAL_FEATURES, str(root / f"social_{n}"))

    found = {"ingest": best_seconds(ingest), "social": best_seconds(compute_social), "peak": find_peak(spark)}
    shutil.rmtree(export)
    print(
        f"{n:,} posts: ingest {found['ingest']:.1f} s, social {found['social']:.1f} s, {found['peak']:.0f} MB",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=2, default=(100_000, 1_000_000), metavar=("SMALL", "LARGE"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    spark = get_session(
        "bench_ingest",
        {
            "spark.master": f"local[{args.threads}]",
            "spark.driver.memory": "1g",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": 8,
        },
    )
    spark.sparkContext.setLogLevel("ERROR")
    n_small, n_large = sorted(args.sizes)
    with tempfile.TemporaryDirectory() as folder:
        small, large = (measure(spark, Path(folder), n) for n in (n_small, n_large))
    rows = [
        Row(
            f"{step}: growth from {n_small:,} to {n_large:,} posts, against the rows",
            large[step] / small[step],
            n_large / n_small,
            "x",
            1.2,
            False,
        )
        for step in ("ingest", "social")
    ]
    rows.append(
        Row(f"peak of a worker, {n_large:,} posts against {n_small:,}", large["peak"], small["peak"], "MB", 1.1, False)
    )
    finish(f"Ingest and social values, {args.threads} threads", rows, args.json)


if __name__ == "__main__":
    main()
