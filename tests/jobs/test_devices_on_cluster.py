"""Which task asks for which device, on executors that a fake discovery script gives two GPUs; and crashing codecs.

Each scenario is a driver script of its own, since a session's master and resources cannot change.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.conftest import ROOT, SPARK_HOME

DRIVER = """
import json, sys
import numpy as np
from popspark.images import decode as codecs
from popspark.features.plan import PlannedFamily
from popspark.features.family import Family
from popspark.runtime.session import get_session
from popspark.storage.tables import IMAGE_BLOBS
from popspark.features.extraction import Extraction, extract_features
from tests.spark.features.test_extraction import image_row, jpeg

def load(weights, device):
    '''A stand-in for a deep family: its one value is the index of the GPU that it was loaded on, -1 for the CPU.'''
    index = int(device.partition(":")[2]) if ":" in device else -1
    return lambda images: np.full((len(images), 1), index, np.float32)

spark = get_session("devices", json.loads(sys.argv[1]))
planned = (PlannedFamily(Family("stand_in", "1", 1, load), "1", weights="random"),)
rows = [image_row(f"i{n}", CONTENT(n)) for n in range(8)]
images = spark.createDataFrame(rows, IMAGE_BLOBS.schema).repartition(4)
found = extract_features(images, Extraction(planned, sys.argv[2], 2DECODE)).collect()
print("RESULT", json.dumps({r["image_id"]: [r["features"]["status"], r["features"]["stand_in"]] for r in found}))
"""


def drive(tmp_path: Path, options: dict[str, str], device: str, content: str, decode: str = "") -> tuple[int, str]:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.replace("CONTENT(n)", content).replace("DECODE", decode))
    spark = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", **options}
    spark["spark.driver.extraJavaOptions"] = "-XX:TieredStopAtLevel=1"
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PYSPARK_PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, str(script), json.dumps(spark), device]
    environment["SPARK_HOME"] = str(SPARK_HOME)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, cwd=tmp_path)
    return done.returncode, done.stdout + done.stderr


def result(output: str) -> dict[str, list]:
    line = next((x for x in output.splitlines() if x.startswith("RESULT ")), None)
    assert line is not None, output[-4000:]
    return json.loads(line.removeprefix("RESULT "))


FAKE_GPUS = {
    "spark.master": "local-cluster[1,2,1024]",
    "spark.worker.resource.gpu.amount": "2",
    "spark.worker.resource.gpu.discoveryScript": str(ROOT / "tests" / "spark" / "fake_gpus.sh"),
    "spark.executor.resource.gpu.amount": "2",
    "spark.task.resource.gpu.amount": "1",
}


def test_each_task_uses_the_gpu_that_spark_gave_it(tmp_path: Path) -> None:
    code, output = drive(tmp_path, FAKE_GPUS, "cuda", "jpeg(n)")
    assert code == 0, output[-4000:]
    devices = {values[0] for status, values in result(output).values() if status == "ok"}
    assert devices == {0.0, 1.0}


def test_cpu_is_used_when_asked_for_though_there_are_gpus(tmp_path: Path) -> None:
    _, output = drive(tmp_path, FAKE_GPUS, "cpu", "jpeg(n)")
    assert {values[0] for _, values in result(output).values()} == {-1.0}


@pytest.mark.parametrize(("device", "ends"), [("auto", "-1.0"), ("cuda", "this task has no GPU")])
def test_without_a_gpu_auto_falls_back_and_cuda_is_an_error(tmp_path: Path, device: str, ends: str) -> None:
    code, output = drive(tmp_path, {"spark.master": "local[2]"}, device, "jpeg(n)")
    assert (code == 0) == (device == "auto")
    assert ends in output


def test_a_codec_that_crashes_its_process_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(
        "import os, signal\n"
        "from popspark.images import decode as codecs\n"
        "def decode(content, limits):\n"
        "    if content.startswith(b'CRASH'):\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return codecs.decode(content, limits)\n"
    )
    content = "b'CRASH' if n == 3 else jpeg(n)"
    decode = ", decode=__import__('crashing').decode"
    options = {"spark.master": "local-cluster[1,2,1024]", "spark.executorEnv.PYTHONPATH": str(tmp_path)}
    code, output = drive(tmp_path, options, "cpu", content, decode)
    assert code == 0, output[-4000:]
    found = result(output)
    assert found.pop("i3") == ["decoder_crash", None]
    assert all(status == "ok" for status, _ in found.values())
    assert len(found) == 7
