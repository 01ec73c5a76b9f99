"""Notebooks run from top to bottom, and are stored without outputs, which would grow old."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.jobs.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def pictures(notebook: nbformat.NotebookNode) -> list[np.ndarray]:
    """All PNGs that its cells show, uint8 (H, W, 3)."""
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    encoded = [data["image/png"] for data in shown if "image/png" in data]
    return [np.asarray(Image.open(BytesIO(base64.b64decode(text))).convert("RGB")) for text in encoded]


def text_of(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_popularity_in_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel's popspark is this one
    notebook = nbformat.read(ROOT / "notebooks" / "popularity_in_sql.ipynb", as_version=4)
    assert "learned simulated counts" in notebook.cells[0].source
    folder = {"metadata": {"path": str(ROOT / "notebooks")}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=folder).execute()
    grid, strength, one_post = pictures(notebook)
    assert grid.shape[1] > 800
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 50 for picture in (grid, strength, one_post))
    text = text_of(notebook)
    assert re.search(r"^0 +ok +57$", text, re.MULTILINE)  # the images that could be read
    assert ".jpg: " in text
