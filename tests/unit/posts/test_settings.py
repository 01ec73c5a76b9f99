"""Settings of every room: light to import, refused early, documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from popspark.pairs.settings import PRESETS, PairRules, preset_rules
from popspark.posts.settings import LabelSettings, SplitSettings
from popspark.runtime.errors import ConfigError
from popspark.training.settings import CnnFitSettings

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = sorted((ROOT / "popspark").rglob("settings.py"))


def test_the_command_line_can_show_them_without_anything_heavy() -> None:
    heavy = ("numpy", "PIL", "pandas", "pyarrow", "pyspark", "torch", "scipy", "cv2", "urllib3")
    imports = "; ".join(f"import {'.'.join(path.relative_to(ROOT).with_suffix('').parts)}" for path in SETTINGS)
    code = f"import sys; {imports}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: "-".join(path.relative_to(ROOT / "popspark").parts[:-1]))
def test_every_setting_has_a_default_and_a_text_below_it(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for section in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, text in zip_longest(section.body, section.body[1:]):
            if isinstance(field, ast.AnnAssign):
                assert field.value is not None, ast.unparse(field)
                assert isinstance(text, ast.Expr), ast.unparse(field)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (LabelSettings, {"rule": "views"}),
        (SplitSettings, {"strategy": "by_time"}),
        (SplitSettings, {"group_by": "image_id"}),
        (PairRules, {"hashtags": "some"}),
        (CnnFitSettings, {"n_epochs": 0}),
    ],
)
def test_a_value_that_is_none_of_the_legal_ones_is_refused_at_once(section: Any, values: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="Input should be"):
        section(**values)


def test_a_label_option_that_is_not_the_rule_s_is_refused_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        LabelSettings(rule="given", options={"min_age_days": 2})
    assert str(caught.value) == (
        "The label rule given does not have this option.\n  where: label options\n  got: min_age_days\n  legal: none"
    )


def test_the_defaults_of_the_pair_rules_are_twitter_s() -> None:
    assert preset_rules("twitter") == PairRules()
    assert preset_rules("ding").model_dump(include=set(PRESETS["ding"])) == PRESETS["ding"]
