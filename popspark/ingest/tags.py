"""Texts of an export to hashtags; plain Python, for executors."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterable
from itertools import takewhile

_BETWEEN = re.compile(r"[\s,;|\u060c\u061b\u3001\u3002\uff0c\uff1b\uff5c\uff64]+")
_SIGNS = "#\ufe5f\uff03"
_GLUED = re.compile(rf"[^{_SIGNS}]+")
_NO_SIGN = re.compile(r"\w+://[!-~]+|(?:[\w-]+\.)+[a-z]{2,}/[^\s#]+#[!-~]*", re.IGNORECASE | re.ASCII)
"""Addresses: a # in one begins no tag."""
_OF_HTML = re.compile(r"&#\w+;")
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_JOINERS = "\u200c\u200d"
_IN_WORDS = "_\u00b7\u05be\u05f3\u05f4\u0f0b\u30fb" + _JOINERS
_EMOJI = re.compile("[\u2600-\u2604\u2607-\u2767\u2776-\u27bf\u2b50\u2b55\U0001f000-\U0001faff]")


def split_tags(text: str | None) -> list[str] | None:
    """The tags of a field: a JSON or Python list, or words with signs between them that no tag holds.

    `#a#b` are two; the sign before a tag goes, and behind it the tag ends as in a caption; a word without one is a tag
    as it stands. Each is in Unicode's form NFC, and there once.
    """
    if text is None:
        return None
    stripped = text.strip()
    if stripped.startswith("[") and (listed := _listed(stripped)) is not None:
        return normal_tags(tag for one in listed for tag in _GLUED.findall(str(one)))
    return normal_tags(tag for word in _BETWEEN.split(_visible(stripped)) for tag in _of_word(word))


def _visible(text: str) -> str:
    """The text without signs that nobody sees, and a space for each character that HTML writes with a #."""
    return _OF_HTML.sub(" ", _INVISIBLE.sub("", text))


def _of_word(word: str) -> list[str]:
    if _NO_SIGN.search(word) or not any(sign in word for sign in _SIGNS):
        return [word]
    before, *behind = re.split(f"[{_SIGNS}]", word)
    return [before if _is_tag(before) else "", *map(_begin, behind)]


def _begin(text: str) -> str:
    """What a text begins with that a tag can hold: letters, marks, digits, emoji, and what joins them within words."""
    tag = "".join(takewhile(_is_of_tag, text)).strip(_JOINERS)
    return tag if _is_tag(tag) and unicodedata.category(tag[0])[0] != "M" else ""


def _is_tag(text: str) -> bool:
    return any(sign.isalnum() or _EMOJI.match(sign) for sign in text)


def _is_of_tag(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LMN" or sign in _IN_WORDS or _EMOJI.match(sign) is not None


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
    if text is None:
        return None
    _, *behind = re.split(f"[{_SIGNS}]", _NO_SIGN.sub(" ", _visible(text)))
    return normal_tags(map(_begin, behind))


def normal_tags(tags: Iterable[str]) -> list[str]:
    """The tags without spaces around them and signs that nobody sees, in the form NFC, the first of each."""
    normal = (unicodedata.normalize("NFC", _INVISIBLE.sub("", tag)).strip() for tag in tags)
    return list(dict.fromkeys(tag for tag in normal if tag))
