"""Exports with a fault each, many in one run of Spark: what is known of each post arrives, or stands in a reject."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from popspark.ingest.accounting import complete, write_posts
from popspark.ingest.exports import Options, parse_export
from popspark.ingest.mapping import check_mapping
from popspark.ingest.origins import smpd
from popspark.runtime.errors import DataError
from popspark.storage.tables import POSTS, REJECTS
from popspark.storage.warehouse import read_table
from popspark.storage.writing import begin
from tests.fuzzing import SECONDS, run_rounds
from tests.made_exports import Export, Kind, Post, faulty_exports, parquet_exports

N = 24
"""Exports of one run."""
IDS = {"post_id": "id", "user_id": "who"}
MAPPING = check_mapping({**IDS, "caption": "text", "n_likes": "likes"}, "test")


@pytest.fixture(autouse=True, scope="module")
def _interpreted(spark: SparkSession) -> Iterator[None]:
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    before = {name: spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name, old in before.items():
        spark.conf.set(name, str(old))


def _check_posts(exports: list[Export], spark: SparkSession, folder: Path, kind: Kind) -> None:
    posts = {row["post_id"]: row for row in read_table(spark, POSTS, f"{folder}/posts").collect()}
    raws = [row["raw"] for row in read_table(spark, REJECTS, f"{folder}/rejects").collect()]
    for export in exports:
        for post in export.posts:
            if post.post_id in export.touched:
                continue
            told = f"{export.fault} of {export.content[:2000]!r}"
            if (row := posts.get(post.post_id)) is None:
                assert any(post.post_id in raw for raw in raws), f"{post.post_id} is lost: {told}"
                continue
            found = Post(
                row["post_id"],
                row["user_id"],
                _text(row, kind),
                row["n_likes"] if kind != "smp_t1" else row["n_comments"],
            )
            expected = post if kind != "smp_t1" else replace(post, caption="")
            expected = expected if kind not in ("smpd_2018", "smpd") else replace(expected, n_likes=None)  # type: ignore[arg-type]
            assert found == expected, f"{post.post_id} was altered: {told}"


def _text(row: object, kind: Kind) -> str:
    found = row["title" if kind in ("smpd_2018", "smpd") else "caption"]  # type: ignore[index]
    return found or ""


def _ingest(spark: SparkSession, parsed: DataFrame, origin: str, folder: Path) -> None:
    """Writes both tables, which checks that rows in = posts + rejects."""
    try:
        with begin(spark, POSTS, f"{folder}/posts") as posts, begin(spark, REJECTS, f"{folder}/rejects") as rejects:
            write_posts(parsed, origin, False, posts, rejects)
    except DataError as error:
        assert str(error).startswith("The export holds no post: no table was written.")  # noqa: PT017
        for path, table in (("posts", POSTS), ("rejects", REJECTS)):
            rows = complete(parsed, origin, False).where(f"reason IS {'NOT ' if path == 'rejects' else ''}NULL")
            rows.select(*[name for name in table.columns if name in rows.columns]).write.parquet(f"{folder}/{path}")


def _run_files(spark: SparkSession, exports: list[Export], kind: Kind, folder: Path) -> None:
    (folder / "src").mkdir()
    for export in exports:
        (folder / "src" / export.name).write_bytes(export.content)
    options = Options(mapping=MAPPING if kind in ("csv", "parquet") else None)
    _ingest(spark, parse_export(spark, kind, f"{folder}/src", options), kind, folder)


def _run_smpd(spark: SparkSession, exports: list[Export], kind: Kind, folder: Path) -> None:
    splits = dict[str, dict[str, str]]()
    for i, export in enumerate(exports):
        at = folder / str(i)
        at.mkdir()
        files = {smpd.WHOLE: export} if export.kind == "smpd_2018" else {smpd.SPINE: export.beside, "text": export}
        for one in files.values():
            assert one is not None
            (at / one.name).write_bytes(one.content)
        splits[str(i)] = {role: str(at / one.name) for role, one in files.items() if one is not None}
    rows = [row for split, files in splits.items() for row in smpd.iter_aligned(split, files)]
    parsed = smpd._posts(spark.createDataFrame(rows, smpd.ALIGNED), splits, Options(keep_user_names=True))
    _ingest(spark, parsed, "smpd", folder)


Run = Callable[[SparkSession, list[Export], Kind, Path], None]
RUNS: dict[Kind, Run] = {
    **dict.fromkeys(("csv", "x_api", "flickr", "instagram", "smp_t1", "parquet"), _run_files),
    **dict.fromkeys(("smpd_2018", "smpd"), _run_smpd),
}  # type: ignore[dict-item]


def _fuzz(spark: SparkSession, kind: Kind, seconds: float) -> None:
    made = [parquet_exports(f"e{i}") if kind == "parquet" else faulty_exports(kind, f"e{i}") for i in range(N)]

    @settings(
        max_examples=1,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.tuples(*made))
    def check(exports: tuple[Export, ...]) -> None:
        # A fault in the header of a CSV file ends the job, with the file's name.
        kept = [one for one in exports if kind != "csv" or len(one.touched) < len(one.posts) or one.fault == "cp1252"]
        with tempfile.TemporaryDirectory() as folder:
            RUNS[kind](spark, kept, kind, Path(folder))
            _check_posts(kept, spark, Path(folder), kind)

    run_rounds(check, seconds)


@pytest.mark.parametrize("kind", ["csv", "x_api"])  # a run takes half a minute: the others are left to the slow one
def test_fuzz_origins(spark: SparkSession, kind: Kind) -> None:
    _fuzz(spark, kind, 0)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("kind", RUNS)
def test_fuzz_origins_for_minutes(spark: SparkSession, kind: Kind) -> None:
    _fuzz(spark, kind, SECONDS / len(RUNS))
