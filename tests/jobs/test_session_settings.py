"""The chain of jobs gives the same tables under every setting of a session, in any locale, order and batch size.

`popspark` sets the zone of its own sessions; a notebook's or a server's session is as its owner set it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from popspark.runtime.session import get_session
from popspark.storage.examples import SPLITS
from tests.chain import N_POSTS, differences, posted_at, read_tables, run_chain, write_inputs
from tests.jobs.conftest import LOG4J, ROOT

Tables = dict[str, list[dict[str, Any]]]

ZONES = ("Asia/Kathmandu", "America/St_Johns")
SETTINGS = {
    "zone": {"spark.sql.session.timeZone": ZONES[0]},
    "ANSI": {"spark.sql.ansi.enabled": "true"},
    "no ANSI": {"spark.sql.ansi.enabled": "false"},
    "timestamps without a zone": {"spark.sql.timestampType": "TIMESTAMP_NTZ"},
    "case": {"spark.sql.caseSensitive": "true"},
    "legacy times": {"spark.sql.legacy.timeParserPolicy": "LEGACY"},
    "partitions": {"spark.sql.shuffle.partitions": "7", "spark.sql.adaptive.enabled": "false"},
    "splits": {"spark.sql.files.maxPartitionBytes": "2000"},
    "batches": {"spark.sql.execution.arrow.maxRecordsPerBatch": "1"},
}
TOGETHER = {key: value for name, options in SETTINGS.items() if name != "ANSI" for key, value in options.items()}
"""Without ANSI, which is Spark 4's default, and so that of the expected tables."""
QUICK = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs") / "in")


@pytest.fixture(scope="module")
def expected(spark: SparkSession, interpreted: None, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """By the jobs in their own session, of the export in its order."""
    out = tmp_path_factory.mktemp("expected")
    run_chain(inputs, out)
    return read_tables(out)


def test_the_expected_tables_are_right(expected: Tables) -> None:
    posts = {row["post_id"]: row for row in expected["posts"]}
    assert len(posts) == N_POSTS
    assert [posts[f"p{n}"]["posted_at"] for n in range(N_POSTS)] == [posted_at(n) for n in range(N_POSTS)]
    assert {f"{row['collected_at']:%Y-%m-%d %H:%M}" for row in posts.values()} == {"2025-01-01 00:00"}
    assert [posts[f"p{n}"]["n_likes"] for n in range(N_POSTS)] == [n * n for n in range(N_POSTS)]
    assert sorted(row["reason"] for row in expected["rejects"]) == ["bad_n_likes", "bad_posted_at", "duplicate_post_id"]
    assert {row["image_id"]: row["status"] for row in expected["images"]} == {
        "Fête İstanbul.jpg": "ok",
        "astronaut.jpg": "ok",
        "bridge.jpg": "ok",
        "chelsea.jpg": "ok",
        "cow.jpg": "ok",
        "cut.jpg": "ok",  # as far as its header tells
        "nowhere.jpg": "missing",
    }
    assert {r["image_id"] for r in expected["image_features"] if r["status"] != "ok"} == {"cut.jpg", "nowhere.jpg"}
    for row in expected["examples"]:
        time = posted_at(int(row["post_id"][1:]))
        flags = [time.weekday(), 7 + time.month - 1, 19 + time.hour // 6]
        assert [n for n, value in enumerate(row["social"][10:33]) if value] == flags
    order = sorted(expected["examples"], key=lambda row: int(row["post_id"][1:]))
    splits = [row["split"] for row in order]
    assert splits == sorted(splits, key=SPLITS.index)
    months = {row["post_id"]: row["posted_month"] for row in expected["scores"]}
    assert months == {f"p{n}": f"{posted_at(n):%Y-%m}" for n in range(N_POSTS)}
    assert len(expected["pairs"]) > 10


def run_process(inputs: Path, out: Path, options: dict[str, str], **environment: str) -> Tables:
    """The chain as a notebook runs it, in a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tests.chain", str(inputs), str(out), json.dumps(options)]
    kept |= {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=out, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return read_tables(out)


def test_all_settings_together_in_another_locale_and_order(expected: Tables, inputs: Path, tmp_path: Path) -> None:
    """Without UTF-8, where Turkish has other capitals and the clock is behind; Java and Python have no others."""
    java = f"-XX:TieredStopAtLevel=1 {LOG4J} -Duser.language=tr -Duser.country=TR -Duser.timezone={ZONES[1]}"
    of_process = {"spark.master": "local[2]", "spark.ui.enabled": "false", "spark.driver.extraJavaOptions": java}
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "TZ": ZONES[1]}
    found = run_process(inputs, tmp_path, {**of_process, **QUICK, **TOGETHER}, **environment)
    assert differences(found, expected) == []


@pytest.mark.slow
def test_all_settings_together_on_connect(connect_server: str, expected: Tables, inputs: Path, tmp_path: Path) -> None:
    found = run_process(inputs, tmp_path, {**QUICK, **TOGETHER}, SPARK_REMOTE=connect_server)
    assert differences(found, expected) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_alone(
    name: str, spark: SparkSession, expected: Tables, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popspark.runtime.session.get_session", lambda *_: spark)
    before = {option: str(spark.conf.get(option)) for option in SETTINGS[name]}
    for option, value in SETTINGS[name].items():
        spark.conf.set(option, value)
    try:
        run_chain(inputs, tmp_path)
    finally:
        for option, value in before.items():
            spark.conf.set(option, value)
    assert differences(read_tables(tmp_path), expected) == []


def test_the_zone_of_popspark_s_own_sessions_wins_over_options(spark: SparkSession) -> None:
    ours = get_session("tests", {"spark.sql.session.timeZone": ZONES[0]})
    assert ours.conf.get("spark.sql.session.timeZone") == "UTC"
