"""Texts of an export to hashtags; plain Python, for executors."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterable

_BETWEEN = re.compile(r"[\s,;|\u3001\u3002\uff0c\uff1b\uff5c\uff64]+")
_SIGNS = "#\uff03"
_GLUED = re.compile(rf"[^{_SIGNS}]+")
_IN_TEXT = re.compile(rf"[{_SIGNS}]([^\s,;:.!?|()\[\]\"'\u3000-\u3002\uff00-\uff0f\uff1a\uff1b\uff5c{_SIGNS}]+)")


def split_tags(text: str | None) -> list[str] | None:
    """The tags of a field: a JSON or Python list, or words with signs between them that no tag holds.

    `#a#b` are two; the sign before a tag goes, full-width or not; each is in Unicode's form NFC, and there once.
    """
    if text is None:
        return None
    stripped = text.strip()
    if stripped.startswith("[") and (listed := _listed(stripped)) is not None:
        return normal_tags(tag for one in listed for tag in _GLUED.findall(str(one)))
    return normal_tags(tag for word in _BETWEEN.split(stripped) for tag in _GLUED.findall(word))


def _listed(text: str) -> list[object] | None:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def find_tags(text: str | None) -> list[str] | None:
    """The tags within a caption: what stands behind a sign, up to a space or what no tag holds."""
    return None if text is None else normal_tags(_IN_TEXT.findall(text))


def normal_tags(tags: Iterable[str]) -> list[str]:
    """The tags without spaces around them, in the form NFC, the first of each."""
    normal = (unicodedata.normalize("NFC", tag).strip() for tag in tags)
    return list(dict.fromkeys(tag for tag in normal if tag))
