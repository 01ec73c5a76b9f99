"""The grammar of messages, the exit codes, and the hint for a misspelt name."""

from __future__ import annotations

import os

import pytest
from pyspark.errors import PythonException

from popspark.runtime import errors
from popspark.runtime.errors import ConfigError, DeviceError, PopsparkError, closest, fault_of, unknown

EXIT_CODES = {  # sysexits.h, as the os module has it where the platform does
    "PopsparkError": 1,
    "ConfigError": os.EX_CONFIG,
    "PathError": os.EX_NOINPUT,
    "SchemaError": os.EX_DATAERR,
    "DataError": os.EX_DATAERR,
    "AccountingError": os.EX_DATAERR,
    "RefusalError": 79,
    "LockError": os.EX_TEMPFAIL,
    "LeakError": os.EX_DATAERR,
    "WeightsError": os.EX_NOINPUT,
    "UnfitWeightsError": os.EX_DATAERR,
    "BundleError": os.EX_DATAERR,
    "DeviceError": os.EX_UNAVAILABLE,
    "TrainingError": os.EX_DATAERR,
}


def test_each_kind_of_fault_has_its_exit_code() -> None:
    kinds = {k.__name__: k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, PopsparkError)}
    assert {name: kind.exit_code for name, kind in kinds.items()} == EXIT_CODES
    for name, kind in kinds.items():
        assert kind.__doc__
        assert name == "PopsparkError" or kind.__doc__.startswith("Raised when "), name


def test_all_parts_stand_in_order_each_on_its_line() -> None:
    error = ConfigError("Wrong.", fix="set it to 2", legal=2, got=1, where="conf/x.yaml")
    assert str(error) == "Wrong.\n  where: conf/x.yaml\n  got: 1\n  legal: 2\n  fix: set it to 2"


@pytest.mark.parametrize(("got", "line"), [(0, "\n  got: 0"), ("", "\n  got: "), (False, "\n  got: False"), (None, "")])
def test_only_none_is_left_out(got: object, line: str) -> None:
    assert str(ConfigError("Wrong.", got=got)) == f"Wrong.{line}"


RAISED = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/x/extraction.py", line 94, in open_extractor
    raise DeviceError("No GPU.", got="a\\nb", fix="set é")
popspark.runtime.errors.DeviceError: No GPU.
  got: a

b
  fix: set é
"""
JAVA = """
\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:581)
\tat java.base/java.lang.Thread.run(Thread.java:840)

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.$anonfun$abortStage$2(DAGScheduler.scala:2898)
"""


@pytest.mark.parametrize(
    "text",
    [RAISED, f"Job aborted: Lost task 0.3 in stage 1.0: org.apache.spark.api.python.PythonException:{RAISED}{JAVA}"],
    ids=["Spark 4", "Spark 3.5"],
)
def test_the_error_of_a_worker_is_found_in_the_text_that_spark_gives(text: str) -> None:
    found = fault_of(PythonException(text))
    assert type(found) is DeviceError
    assert str(found) == "No GPU.\n  got: a\n\nb\n  fix: set é"


def test_of_a_chain_of_errors_the_last_one_counts() -> None:
    cause = "Traceback (most recent call last):\nKeyError: 1\n\nThe above exception was the direct cause of the ..:\n"
    assert isinstance(fault_of(PythonException(cause + RAISED)), DeviceError)
    unforeseen = "\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call "
    assert fault_of(PythonException(f"{RAISED}{unforeseen}last):\nZeroDivisionError: by zero\n")) is None


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError(RAISED),  # not of Spark: a text that quotes one
        PythonException("Traceback (most recent call last):\nValueError: bad"),
        PythonException("Traceback (most recent call last):\npopspark.runtime.errors.re: bad"),
        PythonException("Traceback (most recent call last):\npopspark.runtime.errors.NewError: bad"),
        PythonException("quoted popspark.runtime.errors.DeviceError: bad"),
    ],
    ids=["none", "quoted", "unforeseen", "no class", "a class of another version", "within a line"],
)
def test_what_nobody_raised_on_purpose_is_none(error: BaseException | None) -> None:
    assert fault_of(error) is None


def test_closest_names_the_nearest_or_nothing() -> None:
    assert closest("vissual", ["social", "visual"]) == "Did you mean 'visual'?"
    assert closest("visual", iter(["social", "visual"])) == "Did you mean 'visual'?"
    assert closest("zzz", ["social", "visual"]) == ""
    assert closest("visual", []) == ""


def test_an_unknown_name_is_told_with_the_legal_ones_and_the_nearest() -> None:
    assert str(unknown("label rule", "twiter", iter(["twitter", "given"]), where="rule")) == (
        "Unknown label rule.\n  where: rule\n  got: 'twiter'\n  legal: twitter, given\n  fix: Did you mean 'twitter'?"
    )
    assert str(unknown("origin", "zzz", ["x_api"])) == "Unknown origin.\n  got: 'zzz'\n  legal: x_api"
