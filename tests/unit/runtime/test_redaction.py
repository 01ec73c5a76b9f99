"""Secrets do not get into messages, and what is none stays."""

from __future__ import annotations

import pytest

from popspark.runtime.errors import ConfigError
from popspark.runtime.redaction import redact


@pytest.mark.parametrize(
    "text",
    [
        "s3a://AKIA:SECRET@bucket/posts",
        "https://SECRET@example.org/x",
        "spark.hadoop.fs.s3a.secret.key=SECRET",
        "spark.hadoop.fs.s3a.access.key = 'SECRET'",
        "fs.azure.account.key.lake.dfs.core.windows.net: SECRET",
        '{"password": "SECRET"}',
        "https://host/i.jpg?sig=SECRET&v=1",
        "https://host/i.jpg?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET&v=1",
        "user_name_salt=SECRET",
        "spark.ssl.keyStorePassword=SECRET spark.ui.enabled=false",
    ],
)
def test_secrets_are_replaced(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "abfss://container@account.dfs.core.windows.net/posts",
        "s3a://bucket/posts@2024",
        "legal keys: env, run_id, things",
        "scores=warehouse/scores mode=full",
        "joined by key: post_id",
        "sha256 0a1b; the limit is 50000000",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert redact(text) == text


def test_errors_are_without_secrets() -> None:
    assert str(ConfigError("Wrong.", got="fs.s3a.secret.key=SECRET")) == "Wrong.\n  got: fs.s3a.secret.key=***"
