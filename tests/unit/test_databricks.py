"""databricks.yml names jobs, settings and environments that exist. That Databricks takes it is not tested here."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from popspark.runtime.config import JobConfig, find_conf, load_config
from popspark.runtime.errors import ConfigError
from popspark.runtime.session import ALWAYS

ROOT = Path(__file__).resolve().parents[2]
BUNDLE: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
JOB = BUNDLE["resources"]["jobs"]["nightly_scores"]
TASKS = {task["task_key"]: task for task in JOB["tasks"]}


def configure(task: dict[str, Any], *more: str) -> JobConfig:
    """The config that the task's job would have, its variables replaced by a path."""
    wheel = task["python_wheel_task"]
    assert wheel["package_name"] == "popspark"
    assert PROJECT["scripts"][wheel["entry_point"]] == "popspark.cli:main"
    job, option, env, *overrides = wheel["parameters"]
    assert option == "--env"
    for name in BUNDLE["variables"]:
        overrides = [override.replace(f"${{var.{name}}}", f"/volumes/{name}") for override in overrides]
    assert not any("$" in override for override in overrides), "a variable that databricks.yml does not declare"
    model = importlib.import_module(f"popspark.jobs.{job.replace('-', '_')}").Config
    return load_config(model, [*overrides, *more], env=find_conf(env, folder="env"))


@pytest.fixture(autouse=True)
def _warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POPSPARK_WAREHOUSE", "/volumes/warehouse")


def test_it_ingests_extracts_and_scores_in_this_order() -> None:
    order = [(key, [needed["task_key"] for needed in task.get("depends_on", [])]) for key, task in TASKS.items()]
    assert order == [
        ("ingest_images", []),
        ("extract_features", ["ingest_images"]),
        ("score_posts", ["extract_features"]),
    ]


@pytest.mark.parametrize("key", TASKS)
def test_every_job_takes_its_parameters(key: str) -> None:
    config = configure(TASKS[key])
    assert config.env.warehouse == "/volumes/warehouse"
    assert config.images == "/volumes/warehouse/images"  # type: ignore[attr-defined]  # what one writes, the next reads


def test_a_parameter_that_no_job_knows_would_be_found() -> None:
    with pytest.raises(ConfigError, match="unknown key photos"):
        configure(TASKS["ingest_images"], "photos=x")


def test_the_variables_of_the_cluster_are_those_of_the_environment() -> None:
    text = (ROOT / "conf" / "env" / "databricks.yaml").read_text()
    clusters = {cluster["job_cluster_key"]: cluster["new_cluster"] for cluster in JOB["job_clusters"]}
    of_workers = {key.removeprefix("spark.executorEnv."): value for key, value in ALWAYS.items() if "Env." in key}
    variables = dict(clusters["workers"]["spark_env_vars"])
    assert "${oc.env:POPSPARK_WAREHOUSE}" in text
    assert variables.pop("POPSPARK_WAREHOUSE")
    assert variables == of_workers  # the cluster's session is none of popspark's
    assert all(task["job_cluster_key"] in clusters for task in TASKS.values())


def test_the_schedule_is_paused_and_runs_never_overlap() -> None:
    assert JOB["schedule"]["pause_status"] == "PAUSED"
    assert JOB["max_concurrent_runs"] == 1


def test_the_gpu_target_changes_the_same_cluster_and_gives_a_task_one_gpu() -> None:
    targets = BUNDLE["targets"]
    assert targets["cpu"] == {"default": True}
    (cluster,) = targets["gpu"]["resources"]["jobs"]["nightly_scores"]["job_clusters"]
    assert cluster["job_cluster_key"] in {task["job_cluster_key"] for task in TASKS.values()}
    assert cluster["new_cluster"]["spark_conf"]["spark.task.resource.gpu.amount"] == "1"
