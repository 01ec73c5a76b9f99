"""The whole chain of jobs over a tiny export with all that settings of a session could move, and the tables it gives.

`python -m tests.chain INPUTS OUT '{"spark.sql.ansi.enabled": "false"}'` runs it in reverse order, in a session of that
process's own, of Spark Connect with SPARK_REMOTE, as a notebook has one.
"""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from popspark.runtime import session
from popspark.runtime.config import load_config
from popspark.storage.arrow import read_arrow
from tests.made_bundles import write_vscnn

PHOTOS = Path(__file__).resolve().parents[1] / "sample" / "photos"
N_POSTS = 60
FIRST = datetime(2024, 2, 28, 21, 7, 5, tzinfo=UTC)
STEP = timedelta(hours=17, minutes=41)
"""Posts pass each weekday and quarter of the day, and the ends of two months."""
HEADER = ["Tweet", "tweet", "When", "Local", "text", "tags", "likes", "RTs", "Views", "photo", "Lang"]
MAPPING = """
post_id: tweet
user_id: Tweet  # another column than tweet
posted_at: When
collected_at: {column: Local, format: "d.M.yyyy HH:mm", zone: Asia/Kathmandu}
caption: text
hashtags: tags
n_likes: likes
n_shares: RTs
n_views: Views
image_id: photo
extra: [Lang]
"""
KEYS = {
    "posts": ["post_id"],
    "rejects": ["raw"],
    "images": ["image_id"],
    "image_features": ["image_id", "family"],
    "examples": ["post_id"],
    "pair_posts": ["post_id"],
    "pairs": ["post_id_l", "post_id_r"],
    "pair_audit": ["position"],
    "scores": ["post_id"],
}
"""By table, what tells its rows apart."""
OF_THE_RUN = {"run_id", "scored_at", "line", "file", "uri"}


def posted_at(n: int) -> datetime:
    return FIRST + n * STEP


def _spelt(time: datetime, n: int) -> str:
    forms = (
        time.isoformat(),
        str(int(time.timestamp())),
        f"{time:%Y-%m-%d %H:%M:%S}",
        f"{time:%a %b %d %H:%M:%S} +0000 {time:%Y}",
        f"{time + timedelta(hours=5, minutes=45):%Y-%m-%dT%H:%M:%S}+05:45",
    )
    return forms[n % len(forms)]


def write_inputs(folder: Path) -> Path:
    """posts.csv, the same in reverse, its mapping, photographs, and a bundle."""
    (folder / "photos").mkdir(parents=True)
    for name in ("astronaut", "bridge", "chelsea", "cow"):
        copy(PHOTOS / f"{name}.jpg", folder / "photos")
    copy(PHOTOS / "fig.jpg", folder / "photos" / "Fête İstanbul.jpg")
    (folder / "photos" / "cut.jpg").write_bytes((PHOTOS / "cow.jpg").read_bytes()[:3000])
    names = [*sorted(path.name for path in (folder / "photos").iterdir()), "nowhere.jpg"]
    seen, tags = "1.1.2025 05:45", ["#Sea #SUN", "#sea #İzmir", "#sun", ""]
    rows = [
        [f"u{n % 3}", f"p{n}", _spelt(posted_at(n), n), seen, f"TITLE {n} ıI", tags[n % 4], f"{n * n:,}", n * 3 % 40,
         1000 + 7 * n, names[n * 5 % len(names)], "EN"]
        for n in range(N_POSTS)
    ]  # fmt: skip
    rows += [
        ["u0", "p3", _spelt(posted_at(3), 3), "31.12.2024 23:59", "of an earlier day", "", 1, 1, 1, "cow.jpg", "EN"],
        ["u1", "bad-time", "01/02/2024", seen, "x", "", 1, 1, 1, "", "en"],
        ["u1", "bad-count", "2024-05-01", seen, "x", "", "many", 1, 1, "", "en"],
    ]
    for name, ordered in (("posts.csv", rows), ("reversed.csv", rows[::-1])):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([HEADER, *ordered])
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    write_vscnn(folder / "bundle")
    return folder


def run_chain(inputs: Path, out: Path, is_reversed: bool = False) -> None:
    """Each job by its `main`, from the export to scores."""

    def job(name: str, *more: str) -> None:
        module: Any = import_module(f"popspark.jobs.{name}")
        module.main(load_config(module.Config, [f"env.warehouse={out}", *more]))

    export, families = "reversed.csv" if is_reversed else "posts.csv", "features.families=[color, lbp]"
    job("ingest_posts", "origin=csv", f"source={inputs}/{export}", f"mapping={inputs}/mapping.yaml")
    job("ingest_images", f"posts={out}/posts", f"root={inputs}/photos")
    job("extract_features", families, f"features.batch_size={1 if is_reversed else 16}")
    job("build_examples", families, "split.strategy=chronological", "label.rule=twitter")
    job("generate_pairs", "rules.max_days=20", "rules.max_word_difference=null", "rules.strict_share=0")
    job("score_posts", f"bundle={inputs}/bundle", "report=null")


def read_tables(out: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table in order, without what tells of the run."""
    found = {}
    for name, keys in KEYS.items():
        rows = read_arrow(str(out / name)).to_pylist()
        kept = [{key: _in_utc(value) for key, value in row.items() if key not in OF_THE_RUN} for row in rows]
        found[name] = sorted(kept, key=lambda row: [row[key] for key in keys])
    return found


def _in_utc(value: Any) -> Any:
    """A time without a zone is one that Spark wrote as it does where nobody asks for another form, INT96: in UTC."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def differences(found: dict[str, list[dict[str, Any]]], expected: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What is not the same; floats may differ by what the order of additions moves."""
    told = []
    for name, rows in expected.items():
        if len(found[name]) != len(rows):
            told.append(f"{name}: {len(found[name])} rows, not {len(rows)}")
            continue
        for row, other in zip(rows, found[name], strict=True):
            unlike = [key for key in row if not _same(row[key], other[key])]
            told += [f"{name} {key}: {other[key]}, not {row[key]}" for key in unlike]
    return told


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return bool(np.isclose(left, right, rtol=1e-5, equal_nan=True))
    return bool(left == right)


def _main(inputs: str, out: str, options: str) -> None:
    builder = SparkSession.builder.appName("notebook")
    for name, value in json.loads(options).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    session.ship_package(spark)
    session.get_session = lambda *_: spark  # found as it is: popspark sets nothing of it
    run_chain(Path(inputs), Path(out), is_reversed=True)
    spark.stop()


if __name__ == "__main__":
    _main(*sys.argv[1:])
