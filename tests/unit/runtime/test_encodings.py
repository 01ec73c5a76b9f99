"""What popspark writes and reads as text is UTF-8 in any locale: no call leaves the encoding to the process."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "popspark"
LEFT_ALONE = {"os.devnull", "Path(f'/proc/{pid}/stat').read_text()"}
"""Nothing is read from the one, and the other is ASCII."""


def unnamed(source: str) -> list[str]:
    """The calls that open a file as text without an encoding."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_text = name == "open" and isinstance(node.func, ast.Name) and "b" not in ast.unparse(node.args[-1])
        if is_text or (name == "read_text" and not node.args) or (name == "write_text" and len(node.args) < 2):
            found.append(ast.unparse(node))
    return found


def test_every_text_has_its_encoding() -> None:
    calls = {(path.name, call) for path in PACKAGE.rglob("*.py") for call in unnamed(path.read_text("utf-8"))}
    assert {(name, call) for name, call in calls if not any(known in call for known in LEFT_ALONE)} == set()
    assert len(calls) == len(LEFT_ALONE)


def test_the_check_sees_calls_without_one() -> None:
    assert unnamed("open('a')\nopen('a', 'rb')\np.read_text()\np.read_text('utf-8')\np.write_text(x)\n") == [
        "open('a')",
        "p.read_text()",
        "p.write_text(x)",
    ]
