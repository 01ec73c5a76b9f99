"""Damaged and hostile bundles end a job with one message and exit code 65, before it has a session."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.jobs.conftest import ROOT

Alter = Callable[[Path, dict[str, Any]], object]


def set_tensor(name: str, change: Callable[[Any], Any]) -> Alter:
    def alter(folder: Path, manifest: dict[str, Any]) -> None:
        held = dict(load((folder / "network.safetensors").read_bytes()))
        held[name] = change(held[name])
        content = save(held)
        (folder / "network.safetensors").write_bytes(content)
        manifest["files"]["network.safetensors"] = hashlib.sha256(content).hexdigest()

    return alter


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda folder, m: m["files"].update({"../secret": "0" * 64}), "files = "),
        (lambda folder, m: m.update(files=[]), "manifest.json cannot be used."),
        (lambda folder, m: m["features"][0].update(dim=33), "visual.center has shape"),
        (lambda folder, m: (m["features"][0].update(dim=33), m["features"][1].update(dim=58)), "another dim of color"),
        (lambda folder, m: m["features"][0].update(name="colour"), "A bundle of families that are unknown here."),
        (lambda folder, m: m.pop("social"), "does not say how its social values are made"),
        (set_tensor("fusion.6.bias", lambda values: values * np.float16(np.nan)), "fusion.6.bias has numbers that are"),
        (set_tensor("fusion.0.weight", lambda values: values.T.copy()), "fusion.0.weight has shape (4736, 1024)"),
    ],
)
def test_it_is_one_message(alter: Alter, message: str, tmp_path: Path) -> None:
    bundle = copytree(ROOT / "models" / "demo-vscnn", tmp_path / "bundle")
    (tmp_path / "secret").write_text("SECRET")
    manifest = json.loads((bundle / "manifest.json").read_text())
    alter(bundle, manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    command = [sys.executable, str(ROOT / "jobs" / "score_posts.py"), f"bundle={bundle}", f"env.warehouse={tmp_path}/w"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.returncode == 65
    assert message in done.stderr
    assert done.stderr.startswith("score_posts: BundleError: ")
    assert "Traceback" not in done.stderr
    assert "SECRET" not in done.stderr
    assert not (tmp_path / "w" / "scores").exists()
