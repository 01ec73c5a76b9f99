"""Texts without the secrets in them: every message, log line, record and page goes through here.

Three rules: what stands before `@` in a URL; what stands behind a name that sounds like a secret, be it a setting, a
key of JSON, a parameter of a URL, a header or an option; and what looks like a key of a known kind, wherever it stands.
Whatever repeats without a value behind it is bounded, so that a long text takes time in proportion.
"""

from __future__ import annotations

import io
import re
from typing import TextIO

HIDDEN = "***"

_URL = re.compile(r"(:\\?/\\?/)((?:(?!:\\?/\\?/)[^\s\"<>])+)")
_ORACLE = re.compile(r"(jdbc:oracle:\w{1,9}:)([^\s@/]{1,99}/[^\s@]{1,300})@", re.I)
_WITHOUT_SCHEME = re.compile(r"((?<![:/\\\w])//)([^\s/@:\"'<>]{1,99}:[^\s/@\"'<>]{1,300})@")
_ENCODED_URL = re.compile(r"(%3a%2f%2f)(?:(?!%2f|%40)[^\s&]){0,100}?(?:%3a|:)[^\s&]{0,300}?%40", re.I)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*$", re.I)
_USER_ALONE = re.compile(r"https?|ftps?|s3[an]?", re.I)
"""Schemes in which even a user without a password is a secret: a token, or the id of a key. Elsewhere it is a container
(abfss) or a plain name (sftp)."""

_NAME = (
    r"(?:secret|passw|passphrase|token|credential|salt|signature|authorization|hmac|connection[ ._-]?string"
    r"|(?<![a-z])(?:pwd|sig|sas|jwt)(?![a-z])"
    r"|(?:access|account|api|auth|private|shared|encryption|master|storage)[\W_]{0,6}key)"
)
_SEPARATOR = r"(?:\\?[\"'])?[ \t]{0,9}(?:=>|=|:|%3[ad])[ \t]{0,9}"
_VALUE = (
    r"(?:(?:bearer|basic|digest|negotiate)[ \t]+)?"
    r"(?:\\\"(?:(?!\\\").)*\\\"|[bru]{0,2}\"(?:[^\"\\]|\\.)*\"?|[bru]{0,2}'(?:[^'\\]|\\.)*'?|[\[{(][^\[\]{}()]*[\]})]?|[^\s,;\"'&}\])<>]+)"
)
_BEHIND_A_NAME = (
    re.compile(r"(authorization[\"']?[ \t]*[:=][ \t]*[\"']?)([^\r\n\"']+)", re.I),  # its kind, and more than one word
    re.compile(rf"({_NAME}[\w.-]{{0,99}}{_SEPARATOR})({_VALUE})", re.I),
    re.compile(
        rf"(\([\"'][\w.-]{{0,99}}{_NAME}[\w.-]{{0,99}}[\"'],[ \t]{{0,9}})([\"'][^\"']*[\"'])", re.I
    ),  # a pair, as Spark lists settings
    re.compile(rf"([\"']--[\w-]{{0,40}}?{_NAME}[\w-]{{0,40}}[\"'],[ \t]{{0,9}})([\"'][^\"']*[\"'])", re.I),
    re.compile(rf"(<[\w:-]{{0,40}}?{_NAME}[\w:-]{{0,40}}>)([^<>]+)", re.I),
    re.compile(rf"(--[\w-]{{0,40}}?{_NAME}[\w-]{{0,40}}[ \t]{{1,9}})({_VALUE})", re.I),
    re.compile(r"((?:set-)?cookie[\"']?[ \t]*[:=][ \t]*)([^\r\n\"']+)", re.I),
    re.compile(
        r"((?<![a-z_-])(?:pass|pw|auth)=|(?<=[a-z][_.])(?:pass|pw)[ \t]{0,9}[=:][ \t]{0,9})([^\s,;\"'&}\])<>]+)", re.I
    ),
    re.compile(r"([?&;](?:key|code|sid|session|policy|oh|s|k|hdn\w+|key-pair-id)=)([^\s&;#\"'<>]+)", re.I),  # of a URL
)
_KEYS = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z)"
    r"|\bbearer [\w.~+/=-]{8,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS
    r"|\beyJ[\w-]{8,999}\.[\w-]{8,2000}\.[\w-]*"  # a JSON web token
    r"|\b(?:gh[opsur]_|github_pat_|glpat-|hf_|xox[abeprs]-|dapi|sk-|sk_live_|AIza)[\w-]{20,}"
    r"|(?<=hooks\.slack\.com/services/)[\w/]+|(?<=discord\.com/api/webhooks/)[\w/-]+",
    re.S,
)


def redact(text: str) -> str:
    """The text with `***` in place of each secret."""
    text = _WITHOUT_SCHEME.sub(rf"\1{HIDDEN}@", _ORACLE.sub(rf"\1{HIDDEN}@", text))
    text = _ENCODED_URL.sub(rf"\1{HIDDEN}%40", _URL.sub(_hide_user, text))
    text = _KEYS.sub(HIDDEN, text)
    for pattern in _BEHIND_A_NAME:
        text = pattern.sub(_hide_value, text)
    return text


def _hide_user(url: re.Match[str]) -> str:
    """A URL from its `://` on, without its user and password.

    A key may hold `/` and `@` as they are, though no standard lets it: then all up to the last `@` is taken for it.
    """
    rest = url[2]
    scheme = _SCHEME.search(url.string[max(0, url.start() - 30) : url.start()])
    name = scheme[0] if scheme else ""
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at and ":" not in user and not _USER_ALONE.fullmatch(name):
        return url[0]
    if at and name.lower().startswith("http"):  # whose paths may well have an @
        return f"{url[1]}{HIDDEN}@{rest[len(user) + 1 :]}"
    has_password = at or (":" in authority and not authority.startswith("["))
    is_port = not at and re.fullmatch(r"[^:]*:\d{1,5}", authority) and not name.lower().startswith("s3")
    if not has_password or is_port or "@" not in rest:
        return url[0]
    return f"{url[1]}{HIDDEN}@{rest.rpartition('@')[2]}"


def _hide_value(found: re.Match[str]) -> str:
    quote = re.match(r"[bru]{0,2}\\?[\"']", found[2])
    return f"{found[1]}{quote[0]}{HIDDEN}{quote[0].lstrip('bru')}" if quote else f"{found[1]}{HIDDEN}"


class Redacted(io.TextIOBase):
    """A stream in front of another, without secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redact(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
