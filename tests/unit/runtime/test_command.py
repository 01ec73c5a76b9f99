"""The command line of a job, in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from popspark import cli

ROOT = Path(__file__).resolve().parents[3]

JOB = '''"""Counts things, 100 % of them.

    popspark count-things
"""

import sys
import time

from popspark import cli
from popspark.runtime.config import JobConfig
from popspark.runtime.errors import BundleError


class Config(JobConfig):
    things: str = "${env.warehouse}/things"
    """What to count."""
    fate: str = "done"


def main(config):
    if config.fate == "refused":
        raise BundleError("The bundle is broken.", where=config.things)
    if config.fate == "slow":
        print("started", flush=True)
        time.sleep(60)
    if config.fate == "unforeseen":
        raise ZeroDivisionError("by zero")
    print(config.things)


if __name__ == "__main__":
    sys.modules["popspark.jobs.count_things"] = sys.modules["__main__"]
    cli.JOBS["Tests"] = {"count-things": "Counts things."}
    cli.main("count-things")
'''


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    (folder / "there.yaml").write_text("warehouse: s3://there\n")
    (folder / "mine.yaml").write_text("things: my own\n")
    (folder / "count_things.py").write_text(JOB)
    return folder / "count_things.py"


def call(job: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(job), *arguments],
        cwd=job.parent,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "warehouse/things"),
        (["--env", "there.yaml"], "s3://there/things"),
        (["--config", "mine.yaml"], "my own"),
        (["things=a=b", "--env", "there.yaml", "fate=done"], "a=b"),
    ],
)
def test_done(job: Path, arguments: list[str], printed: str) -> None:
    ended = call(job, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{printed}\n", "")


def test_a_fault_foreseen_is_a_message_without_a_traceback(job: Path) -> None:
    ended = call(job, "fate=refused")
    assert (ended.returncode, ended.stdout) == (65, "")
    assert ended.stderr == "count_things: BundleError: The bundle is broken.\n  where: warehouse/things\n"


def test_a_bad_setting_ends_before_the_job_starts(job: Path) -> None:
    ended = call(job, "fates=refused")
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.startswith("count_things: ConfigError: This configuration cannot be used.\n")
    assert ended.stderr.endswith("unknown key fates; legal keys: env, run_id, things, fate. Did you mean 'fate'?\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--env", "clutser"],
            "There is no 'clutser' in conf/env.\n  legal: cluster, databricks; or the path of a .yaml file\n"
            "  fix: Did you mean 'cluster'?\n",
        ),
        (
            ["--config", "sample"],
            "There is no 'sample' in conf/count_things.\n  legal: none; or the path of a .yaml file\n",
        ),
        (["--env", "moon.yaml"], "No such config file.\n  where: moon.yaml\n  legal: mine.yaml, there.yaml\n"),
    ],
)
def test_a_missing_file(job: Path, arguments: list[str], message: str) -> None:
    ended = call(job, *arguments)
    assert (ended.returncode, ended.stderr) == (66, f"count_things: PathError: {message}")


@pytest.mark.parametrize("fate", ["done", "refused", "unforeseen"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_of_a_path_is_printed(job: Path, fate: str, form: str) -> None:
    ended = call(job, "things=s3a://KEY:SEC/RET@bucket/things?pwd=SECRET", f"fate={fate}", f"env.log_format={form}")
    said = ended.stdout + ended.stderr
    assert "SEC" not in said
    if fate != "unforeseen":
        assert "s3a://***@bucket/things?pwd=***" in said


def test_an_environment_by_its_name(job: Path) -> None:
    assert call(job, "--env", "cluster", POPSPARK_WAREHOUSE="s3://lake").stdout == "s3://lake/things\n"


def test_what_nobody_foresaw_keeps_its_traceback(job: Path) -> None:
    ended = call(job, "fate=unforeseen")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback (most recent call last):\n")
    assert ended.stderr.endswith("ZeroDivisionError: by zero\n")


def test_log_lines_as_json_carry_the_run_and_no_secrets(job: Path) -> None:
    ended = call(job, "fate=refused", "things=s3a://me:mine@bucket/things", "env.log_format=json", "run_id=night-7")
    assert ended.returncode == 65
    line = json.loads(ended.stderr)
    assert {k: line[k] for k in ("level", "job", "run_id", "exit_code")} == {
        "level": "error",
        "job": "count_things",
        "run_id": "night-7",
        "exit_code": 65,
    }
    assert line["message"].endswith("BundleError: The bundle is broken.\n  where: s3a://***@bucket/things")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_job_that_is_told_to_end_ends_without_a_traceback(job: Path, number: int, code: int) -> None:
    command = [sys.executable, str(job), "fate=slow"]
    environment = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        running.send_signal(number)
        _, stderr = running.communicate(timeout=30)
    assert (running.returncode, stderr) == (code, "")


def test_the_code_is_the_error_s_where_nobody_listens(job: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$0" "$1" fate=refused 2>&-', sys.executable, str(job)], env={"PYTHONPATH": str(ROOT)}, timeout=60
    )
    assert ended.returncode == 65


def test_letters_that_the_locale_lacks_do_not_end_a_job(job: Path) -> None:
    for locale in ({"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}):
        ended = call(job, "things=a-\u017c-b", **locale)
        assert (ended.returncode, ended.stdout[:2], ended.stdout[-3:]) == (0, "a-", "-b\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [("fate=done", 0), ("fate=refused", 65), ("fate=unforeseen", 1), ("fates=x", 78), ("--evn x", 2), ("--help", 0)],
)
def test_the_code_is_the_job_s_where_streams_are_closed(job: Path, closed: str, arguments: str, code: int) -> None:
    ended = subprocess.run(
        ["sh", "-c", f'"$0" "$1" {arguments} {closed}', sys.executable, str(job)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert (ended.returncode, b"Traceback" in ended.stderr) == (code, code == 1 and "2>" not in closed)


def test_ctrl_c_before_a_job_begins_is_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupt)
    monkeypatch.setattr(sys, "argv", ["popspark", "score-posts"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == ""


def test_json_keeps_the_traceback_of_what_nobody_foresaw_in_one_line(job: Path) -> None:
    ended = call(job, "fate=unforeseen", "env.log_format=json")
    assert ended.returncode == 1
    assert json.loads(ended.stderr)["message"].endswith("ZeroDivisionError: by zero")


def test_a_bad_override_does_not_print_the_secrets_of_the_others(job: Path) -> None:
    ended = call(job, "fates=refused", "env.spark.spark.hadoop.fs.s3a.secret.key=mine")
    assert ended.returncode == 78
    assert "mine" not in ended.stderr
    assert "secret.key=***" in ended.stderr


@pytest.mark.parametrize("run_id", ["../up", "a b", ".hidden", ""])
def test_a_run_id_that_is_no_file_name(job: Path, run_id: str) -> None:
    assert call(job, f"run_id='{run_id}'").returncode == 78


def test_an_unusable_command_line(job: Path) -> None:
    ended = call(job, "--evn", "cluster")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Usage: popspark count-things [OPTIONS] [KEY=VALUE]...")
    assert "--evn" in ended.stderr


def test_help_is_the_job_s_docstring_and_its_settings(job: Path) -> None:
    ended = call(job, "--help")
    assert ended.returncode == 0
    assert "Counts things, 100 % of them.\n\n      popspark count-things\n" in ended.stdout
    assert [line.strip() for line in ended.stdout.partition("Settings:\n")[2].splitlines()[:3]] == [
        "things=${env.warehouse}/things",
        "What to count. (str)",
        "fate=done",
    ]
