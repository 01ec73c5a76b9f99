"""Scratch folders: there while the process is, and gone with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from popspark.runtime.scratch import scratch_folder

one, other = scratch_folder(), scratch_folder()
assert one != other and one.is_dir()
(one / "weights").write_bytes(b"abc")
print(one.parent)
"""


def test_a_folder_goes_with_its_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"TMPDIR": str(tmp_path), "PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{tmp_path}\n", "")
    assert list(tmp_path.iterdir()) == []
