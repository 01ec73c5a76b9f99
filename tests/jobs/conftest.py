"""The jobs as users run them: processes of their own, the package sent along as a zip."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import copy, make_archive

import pyspark
import pytest
from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
Submit = Callable[..., subprocess.CompletedProcess]
QUIET = ["--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=2"]
LOG4J = f"-Dlog4j2.configurationFile={ROOT / 'popspark' / 'runtime' / 'log4j2.properties'}"
QUIET += ["--driver-java-options", f"-XX:TieredStopAtLevel=1 {LOG4J}"]


def _environment() -> dict[str, str]:
    # Neither an installed popspark nor the checkout is on the path: what the job imports is what was sent.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SPARK_HOME")}
    return kept | {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make package` builds."""
    return Path(make_archive(str(tmp_path_factory.mktemp("dist") / "popspark"), "zip", ROOT, "popspark"))


@pytest.fixture(scope="session")
def submit(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Submit:
    """`spark-submit` of one job; its output is shown when it ends other than expected."""
    away = tmp_path_factory.mktemp("elsewhere")  # not the checkout

    def run(job: str, *overrides: str, master: str = "local[2]", options: tuple[str, ...] = (), code: int = 0):
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--py-files", str(package)]
        command += [*QUIET, *options, str(ROOT / "jobs" / f"{job}.py"), *overrides]
        done = subprocess.run(command, capture_output=True, text=True, cwd=away, env=_environment(), timeout=280)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    return run


@pytest.fixture(scope="module")
def interpreted(spark: SparkSession) -> Iterator[None]:
    """Rows are few: compiling the plans would take ten times as long as running them."""
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    before = {name: str(spark.conf.get(name)) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs of the sample, and files that are none."""
    folder = tmp_path_factory.mktemp("photographs")
    chosen = sorted((ROOT / "sample" / "photos").glob("*.jpg"))[:12]
    for photograph in chosen:
        copy(photograph, folder)
    (folder / "cut_off.jpg").write_bytes(chosen[0].read_bytes()[:3000])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not a picture")
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def standalone_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a standalone master on this machine with two workers of one core, stopped afterwards."""
    folder = tmp_path_factory.mktemp("standalone")
    port = _free_port()
    url = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    host = ["--host", "127.0.0.1", "--webui-port", "0"]
    worker = [f"{deploy}.worker.Worker", url, "--cores", "1", "--memory", "1500m", *host]
    commands = [[f"{deploy}.master.Master", "--port", str(port), *host]]
    commands += [[*worker, "--work-dir", str(folder / f"work{n}")] for n in range(2)]
    processes = []
    log = folder / "log"
    try:
        for command in commands:
            with log.open("a") as stream:
                started = [str(SPARK_HOME / "bin" / "spark-class"), *command]
                processes.append(subprocess.Popen(started, stdout=stream, stderr=stream, env=_environment()))
        deadline = time.monotonic() + 90
        while len(re.findall("Successfully registered with master", log.read_text())) < 2:
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Spark Connect server: another process, without the checkout on its path; stopped afterwards."""
    if not list((SPARK_HOME / "jars").glob("spark-connect_*.jar")) or find_spec("grpc") is None:
        pytest.skip("this PySpark has no Spark Connect server: its package brings one from Spark 4.0 on")
    folder = tmp_path_factory.mktemp("connect")
    port = _free_port()
    options = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    }
    command = [
        str(SPARK_HOME / "bin" / "spark-submit"),
        "--master",
        "local[2,4]",
        "--class",
        "org.apache.spark.sql.connect.service.SparkConnectServer",
    ]
    for name, value in options.items():
        command += ["--conf", f"{name}={value}"]
    log = folder / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [*command, "spark-internal"],
            stdout=stream,
            stderr=stream,
            env=_environment(),
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + 120
        while not _answers(port):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.3)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
