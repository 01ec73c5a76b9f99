"""Every exit code of the table in `popspark.runtime.errors`, and every error of it, reached by a job as it is called.

The jobs run in this process, on the session of all Spark tests, through the command line's own `main`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from popspark import cli
from popspark.images.decode import sha256
from popspark.runtime import errors
from popspark.runtime.errors import PopsparkError
from popspark.storage.runs import read_runs
from popspark.storage.tables import IMAGE_FEATURES, IMAGES, POSTS
from tests.jobs.conftest import ROOT
from tests.made_bundles import write_vscnn
from tests.made_examples import made_record, made_rows, write_examples

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, one of them cut off, a small bundle, and what is broken."""
    folder = tmp_path_factory.mktemp("warehouse")
    (folder / "photos").mkdir()
    for name in ("astronaut", "cow", "fig"):
        copy(ROOT / "sample" / "photos" / f"{name}.jpg", folder / "photos")
    (folder / "photos" / "cut.jpg").write_bytes((folder / "photos" / "cow.jpg").read_bytes()[:3000])
    rows = [f"p{n},u{n % 2},2024-0{1 + n}-01,2025-01-01,{n},{name}" for n, name in enumerate(("cow.jpg", "cut.jpg"))]
    (folder / "posts.csv").write_text("\n".join(["id,user,posted,seen,views,photo", *rows]))
    fields = "post_id: id\nuser_id: user\nposted_at: posted\ncollected_at: seen\nn_views: views\nimage_id: photo\n"
    (folder / "mapping.yaml").write_text(fields)
    write_vscnn(folder / "bundle")
    write_examples(folder / "few", *made_rows(10))
    made_record().save(folder / "few")
    (folder / "broken.pth").write_bytes(b"no weights")
    (folder / "broken").mkdir()
    (folder / "broken" / "part-0.parquet").write_bytes(b"no Parquet")
    (folder / "locked").mkdir()
    holder = {"run_id": "other", "host": socket.gethostname(), "pid": os.getpid(), "started_at": "now", "token": "x"}
    (folder / "locked" / "_lock").write_text(json.dumps(holder))
    (folder / "rejected.csv").write_text("id,user,posted,seen,views,photo\np1,u1,never,2025-01-01,1,cow.jpg\n")
    return folder


@pytest.fixture
def run(warehouse: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """A command with WAREHOUSE in its settings filled in: its exit code, and what it wrote to stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def call(command: str, *more: str) -> tuple[int, str]:
        arguments = [*command.replace("WAREHOUSE", str(warehouse)).split(), *more]
        monkeypatch.setattr(sys, "argv", ["popspark", *arguments])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    yield call
    root.handlers[:] = handlers
    root.setLevel(level)
    for number, old in before.items():
        signal.signal(number, old)


@pytest.fixture(scope="module")
def _tables(warehouse: Path) -> None:
    """posts, images and image_features, written without Spark."""
    images = [
        {
            "image_id": path.name,
            "uri": str(path),
            "sha256": sha256(content := path.read_bytes()),
            "n_bytes": len(content),
            "status": "ok",
        }
        for path in sorted((warehouse / "photos").iterdir())
    ]
    day, years = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=400)
    posts = [
        {
            "post_id": f"p{n}",
            "user_id": "u",
            "posted_at": day,
            "collected_at": day + years,
            "image_id": image,
            "n_views": 5,
            "origin": "csv",
            "is_simulated": True,
            "extra": [],
        }
        for n, image in enumerate(("cow.jpg", "cut.jpg"))
    ]
    tables = {"posts": (POSTS, posts), "images": (IMAGES, images), "image_features": (IMAGE_FEATURES, [])}
    for name, (table, rows) in {**tables, "one": (IMAGES, images[:1])}.items():
        (warehouse / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows, table.arrow_schema), warehouse / name / "part-0.parquet")


SCORE = "score-posts env.warehouse=WAREHOUSE report=null runs=WAREHOUSE/{runs} scores=WAREHOUSE/none"
EXTRACT = "extract-features env.warehouse=WAREHOUSE runs=WAREHOUSE/{runs} image_features=WAREHOUSE/none"
EXAMPLES = "build-examples env.warehouse=WAREHOUSE features.families=[color,lbp] examples=WAREHOUSE/none"
INGEST = "ingest-posts env.warehouse=WAREHOUSE posts=WAREHOUSE/none rejects=WAREHOUSE/none2 origin=csv"
INGEST += " mapping=WAREHOUSE/mapping.yaml"
PAIRS = "generate-pairs env.warehouse=WAREHOUSE pairs=WAREHOUSE/none"
RANDOM = "features.weights.resnet18=random"

CASES = {
    # what the driver finds
    "ConfigError": (f"{SCORE} bundle=WAREHOUSE/bundle bathc_size=1", 78, "unknown key bathc_size"),
    "PathError": (f"{SCORE} bundle=WAREHOUSE/nowhere", 66, "There is no bundle."),
    "SchemaError": (f"{SCORE} bundle=WAREHOUSE/bundle posts=WAREHOUSE/images", 65, "These are not rows of table posts"),
    "SchemaError, a file that is none": (
        f"{SCORE} bundle=WAREHOUSE/bundle posts=WAREHOUSE/broken",
        65,
        "Cannot read the posts table.",
    ),
    "BundleError": (f"{SCORE} bundle=WAREHOUSE/photos", 65, "A bundle without its manifest.json."),
    "DataError": (f"{INGEST} source=WAREHOUSE/rejected.csv", 65, "The export holds no post: no table was written."),
    "DataError, no label": (f"{EXAMPLES} label.rule=given", 65, "No post has a label by the rule given."),
    "DataError, no pair": (
        f"{PAIRS} pair_posts=WAREHOUSE/none2 pair_audit=WAREHOUSE/none3",
        65,
        "No two posts are a pair: no table was written.",
    ),
    "LeakError": (f"{EXAMPLES} split.strategy=chronological social_mode=paper", 65, "know the views of later posts"),
    "RefusalError": (
        f"{SCORE} bundle=WAREHOUSE/bundle update.max_refused_share=0.4",
        79,
        "More posts were refused than max_refused_share allows",
    ),
    "LockError": (
        f"{EXTRACT} features.families=[color] lock_wait_seconds=0 image_features=WAREHOUSE/locked",
        75,
        "Another run is writing this table.",
    ),
    "WeightsError": (
        f"{EXTRACT} features.families=[vgg19] features.weights.vgg19=WAREHOUSE/no.pth",
        66,
        "The weights of vgg19 are missing.",
    ),
    "TrainingError": (
        "train-vscnn env.warehouse=WAREHOUSE examples=WAREHOUSE/few work=WAREHOUSE/none",
        65,
        "Too few rows or values for the reduction.",
    ),
    "UnfitWeightsError": (
        f"{EXTRACT} features.families=[resnet18] features.weights.resnet18=WAREHOUSE/broken.pth",
        65,
        "These weights do not fit resnet18.",
    ),
    "ConfigError, obstore is missing": (
        "ingest-images env.warehouse=WAREHOUSE images=WAREHOUSE/none source=s3://bucket/photos",
        78,
        "obstore, which is not installed",
    ),
    # what the executors find
    "DeviceError": (
        f"{EXTRACT} images=WAREHOUSE/one features.families=[resnet18] {RANDOM} features.device=cuda",
        69,
        "this task has no GPU",
    ),
    # the command line
    "2": ("score-posts --nonsense", 2, "No such option '--nonsense'."),
    "2, no such job": ("score-psots", 2, "There is no job 'score-psots'. Did you mean 'score-posts'?"),
    "0": ("score-posts --help", 0, ""),
}


@pytest.mark.usefixtures("interpreted", "_tables")
@pytest.mark.parametrize("case", CASES)
def test_a_job_ends_with_its_code_and_one_message(
    case: str, run: Run, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)  # as if it were not installed
    command, code, message = CASES[case]
    job = command.partition(" ")[0].replace("-", "_")
    ended, said = run(command.format(runs=f"runs_{code}_{job}"))
    assert (ended, "Traceback" in said) == (code, False), said[-3000:]
    assert message in said
    if kind := getattr(errors, case.partition(",")[0], None):
        assert len(re.findall(rf"^{job}: {kind.__name__}: ", said, re.M)) == 1
    assert "\tat " not in said
    assert not list(warehouse.glob("none*/**/*.parquet"))
    runs = read_runs(f"{warehouse}/runs_{code}_{job}")
    assert all((row["job"], row["outcome"], row["exit_code"]) == (job, "failed", code) for row in runs), runs
    assert code != 78 or not runs, "settings that cannot be used are no run"
    assert job not in ("extract_features", "score_posts") or code in (0, 2, 78) or runs


@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero\n"),
        (signal.SIGINT, 130, ""),
        (signal.SIGTERM, 143, ""),
    ],
    ids=["1", "130", "143"],
)
def test_a_job_that_is_ended_leaves_its_code_and_nothing_of_a_table(
    fault: Exception | int, code: int, said: str, run: Run, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*arguments: object) -> None:
        if isinstance(fault, Exception):
            raise fault
        os.kill(os.getpid(), fault)

    monkeypatch.setattr("popspark.features.missing_features.extract_rounds", end)
    ended, stderr = run(EXTRACT.format(runs=f"runs_{code}") + " features.families=[color]")
    assert ended == code
    assert stderr.endswith(said)
    assert ("Traceback" in stderr) == bool(said)
    (row,) = read_runs(f"{warehouse}/runs_{code}")
    assert (row["outcome"], row["exit_code"]) == ("failed", code)
    assert not list(warehouse.glob("none/**/*.*"))


def test_rows_that_do_not_add_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """AccountingError, by a row that is lost on its way: which no input can bring about."""
    from popspark.ingest import accounting

    stage_good = accounting._stage_good

    def lose_one(*of: Any) -> dict[str, int]:
        found = stage_good(*of)
        return {**found, "n_in": found["n_in"] + 1}

    monkeypatch.setattr(accounting, "_stage_good", lose_one)
    ended, said = run(f"{INGEST} source=WAREHOUSE/posts.csv")
    assert (ended, "ingest_posts: AccountingError: The rows of the export do not add up." in said) == (65, True)


def test_every_code_and_every_error_is_among_them() -> None:
    lines = re.findall(r"^\| ([\d, ]+) \|", errors.__doc__ or "", re.M)
    documented = {int(code) for line in lines for code in line.split(",")}
    assert documented == {code for _, code, _ in CASES.values()} | {1, 130, 143}
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PopsparkError)}
    assert kinds - {case.partition(",")[0] for case in CASES} == {"PopsparkError", "AccountingError"}
