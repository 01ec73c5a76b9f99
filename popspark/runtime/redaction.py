"""Texts without the secrets in them: every message, log line and record goes through here."""

from __future__ import annotations

import re

_NAME = r"(?:secret|passw|token|credential|salt|(?:access|account|api|private|shared)[._-]?key|signature|\bsig\b)"
_PATTERNS = (
    (re.compile(r"(\b[a-z][\w+.-]*://)[^/\s:@]*:[^/\s@]+@", re.I), r"\1***@"),  # s3a://key:secret@bucket
    (re.compile(r"(\bhttps?://)[^/\s@]+@", re.I), r"\1***@"),  # https://token@host; abfss://container@account stays
    (re.compile(rf"""([\w.-]*{_NAME}[\w.-]*["']?\s?[=:]\s?["']?)[^\s,;"'&}}\])]+""", re.I), r"\1***"),
)


def redact(text: str) -> str:
    """`***` in place of passwords in URLs, and of what stands after `=` or `:` behind a name such as `secret.key`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
