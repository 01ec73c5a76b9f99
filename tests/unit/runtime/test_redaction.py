"""Secrets do not get into messages, and what is none stays."""

from __future__ import annotations

import io
import random

import pytest

from popspark.runtime.errors import ConfigError
from popspark.runtime.redaction import Redacted, redact

CASES = {
    # users of URLs
    "s3a://AKIA:SECRET@bucket/posts": "s3a://***@bucket/posts",
    "s3a://KEY:SEC/RET@bucket/posts": "s3a://***@bucket/posts",
    "s3a://KEY:SEC/RET+a=@bucket": "s3a://***@bucket",
    "s3a://KEY:8020/SECRET@bucket": "s3a://***@bucket",
    "s3://KEY:SEC@RE/T@bucket/a": "s3://***@bucket/a",
    "s3n://SECRET@bucket/a": "s3n://***@bucket/a",
    "https://SECRET@example.org/x": "https://***@example.org/x",
    "https://user:SECRET@example.org/@someone/x@2x.png": "https://***@example.org/@someone/x@2x.png",
    "HTTPS://user:SEC@RET@example.org/x": "HTTPS://***@example.org/x",
    "https://user:SEC/RET@example.org/x": "https://***@example.org/x",
    "https://user:SEC#RET?@example.org/x": "https://***@example.org/x",
    "postgresql+psycopg://me:SECRET@db:5432/lake": "postgresql+psycopg://***@db:5432/lake",
    "jdbc:mysql://me:SECRET@db/lake": "jdbc:mysql://***@db/lake",
    "redis://:SECRET@cache:6379/0": "redis://***@cache:6379/0",
    "sftp://me:SECRET@host/a": "sftp://***@host/a",
    "mongodb://me:SECRET@a:1,b:2/x": "mongodb://***@a:1,b:2/x",
    "https://a.org/b,https://u:SECRET@c.org/d": "https://a.org/b,https://***@c.org/d",
    '"https:\\/\\/u:SECRET@c.org\\/d"': '"https:\\/\\/***@c.org\\/d"',
    "url=https%3A%2F%2Fu%3ASECRET%40c.org%2Fd": "url=https%3A%2F%2F***%40c.org%2Fd",
    "read s3a://K:SECRET@b, then s3a://L:SECRET@c": "read s3a://***@b, then s3a://***@c",
    # parameters of URLs
    "https://h/i.jpg?sig=SECRET&v=1": "https://h/i.jpg?sig=***&v=1",
    "https://h/i.jpg?X-Amz-Signature=SECRET&X-Amz-Date=1": "https://h/i.jpg?X-Amz-Signature=***&X-Amz-Date=1",
    "https://h/i?X-Amz-Credential=SECRET%2Fx&v=1": "https://h/i?X-Amz-Credential=***&v=1",
    "https://h/i?x-amz-security-token=SECRET": "https://h/i?x-amz-security-token=***",
    "https://h/i?GoogleAccessId=a&Signature=SECRET": "https://h/i?GoogleAccessId=a&Signature=***",
    "https://h/i?AWSAccessKeyId=SECRET&v=1": "https://h/i?AWSAccessKeyId=***&v=1",
    "https://h/i?key=SECRET&w=100": "https://h/i?key=***&w=100",
    "https://h/i?w=100&amp;token=SECRET&amp;v=1": "https://h/i?w=100&amp;token=***&amp;v=1",
    "https://h/i?Policy=SECRET&Key-Pair-Id=SECRET": "https://h/i?Policy=***&Key-Pair-Id=***",
    "https://h/i?hdnts=exp=1~hmac=SECRET": "https://h/i?hdnts=***",
    "https://h/i?_nc_cat=1&oh=SECRET&oe=1": "https://h/i?_nc_cat=1&oh=***&oe=1",
    "https://h/i?sv=2024&sig=SECRET%3D": "https://h/i?sv=2024&sig=***",
    # settings
    "spark.hadoop.fs.s3a.secret.key=SECRET": "spark.hadoop.fs.s3a.secret.key=***",
    "spark.hadoop.fs.s3a.access.key = 'SECRET'": "spark.hadoop.fs.s3a.access.key = '***'",
    "fs.azure.account.key.lake.dfs.core.windows.net: SECRET": "fs.azure.account.key.lake.dfs.core.windows.net: ***",
    "fs.azure.sas.a.b.net=SECRET": "fs.azure.sas.a.b.net=***",
    "spark.ssl.keyStorePassword=SECRET spark.ui.enabled=false": "spark.ssl.keyStorePassword=*** spark.ui.enabled=false",
    "user_name_salt=SECRET": "user_name_salt=***",
    "pwd=SECRET": "pwd=***",
    "db_pwd: SECRET": "db_pwd: ***",
    "PGPASSWORD=SECRET psql": "PGPASSWORD=*** psql",
    "pass=SECRET": "pass=***",
    "api_key => SECRET": "api_key => ***",
    "AccountKey=SECRET+/a==;EndpointSuffix=core": "AccountKey=***;EndpointSuffix=core",
    "jdbc:sqlserver://h;user=me;password=SECRET;x=1": "jdbc:sqlserver://h;user=me;password=***;x=1",
    "--password SECRET --n 3": "--password *** --n 3",
    "--api-key=SECRET": "--api-key=***",
    '{"password": "SECRET and SECRET", "n": 1}': '{"password": "***", "n": 1}',
    '{\\"token\\": \\"SECRET\\", \\"n\\": 1}': '{\\"token\\": \\"***\\", \\"n\\": 1}',
    "{'secret': {'key': 'SECRET'}, 'n': 1}": "{'secret': ***, 'n': 1}",
    "{'account': {'key': 'SECRET'}}": "{'account': {'key': '***'}}",
    "('spark.hadoop.fs.s3a.secret.key', 'SECRET')": "('spark.hadoop.fs.s3a.secret.key', '***')",
    "password%3DSECRET": "password%3D***",
    # headers
    "Authorization: Bearer SECRET": "Authorization: ***",
    "{'Authorization': 'Basic SECRET='}": "{'Authorization': '***'}",
    "X-Api-Key: SECRET": "X-Api-Key: ***",
    "Cookie: a=SECRET; b=SECRET": "Cookie: ***",
    "Authorization: token SECRET": "Authorization: ***",
    "authorization: AWS4-HMAC-SHA256 Credential=SECRET/x, Signature=SECRET": "authorization: ***",
    # other forms of a name and a value
    "{'password': b'SECRET'}": "{'password': b'***'}",
    "['--api-token', 'SECRET', '--n', '3']": "['--api-token', '***', '--n', '3']",
    "<Error><AWSAccessKeyId>SECRET</AWSAccessKeyId><n>1</n>": "<Error><AWSAccessKeyId>***</AWSAccessKeyId><n>1</n>",
    "DB_PASS=SECRET db.pass: SECRET": "DB_PASS=*** db.pass: ***",
    "jdbc:oracle:thin:me/SECRET@db:1521:lake": "jdbc:oracle:thin:***@db:1521:lake",
    "see //me:SECRET@host/a": "see //***@host/a",
    "posted to https://hooks.slack.com/services/T0/B0/SECRET": "posted to https://hooks.slack.com/services/***",
    # keys by their form
    "it was AKIAABCDEFGHIJKLMNOP again": "it was *** again",
    "clone with ghp_0123456789abcdefghijABCDEFGHIJ012345": "clone with ***",
    "a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc b": "a *** b",
    "sent bearer 0123456789abcdef": "sent ***",
    "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----": "***",
}


@pytest.mark.parametrize("text", CASES)
def test_secrets_are_replaced(text: str) -> None:
    assert redact(text) == CASES[text]
    assert redact(CASES[text]) == CASES[text]


@pytest.mark.parametrize(
    "text",
    [
        "abfss://container@account.dfs.core.windows.net/posts",
        "wasbs://container@account.blob.core.windows.net/posts@2",
        "sftp://me@host/a",
        "s3a://bucket/posts@2024",
        "hdfs://name:8020/posts@2024",
        "hdfs://name:8020",
        "https://example.org:8443/@me/x@2x.png?w=100&name=large&format=jpg",
        "http://[2606:4700::1111]:80/a@b",
        "table:lake.popularity.scores",
        "someone@example.org wrote at 12:30",
        "legal keys: env, run_id, things",
        "scores=warehouse/scores mode=full",
        "joined by key: post_id",
        "sha256 0a1b; the limit is 50000000",
        "passed: 3, n_passes=4; assigned: 5; a compass=6; sigma=0.5; design: new; authors=7",
        "the token is missing\n  where: here",
        "data:image/png;base64,iVBORw0KGgo+/AAAA==",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert redact(text) == text


def test_long_texts_take_no_long_time() -> None:
    """Each would take hours, were a rule to look at every pair of characters."""
    characters = "ab+/=:@-._'\"\\&?;{[( "
    rng = random.Random(5)
    for unit in (
        "a",
        "a.",
        "+a",
        "://",
        "://a:",
        "token",
        "token=",
        "secret.",
        "--token-",
        "('",
        "%3a%2f%2f",
        'key\\"',
    ):
        assert redact(unit * 20_000)
    for _ in range(30):
        assert redact("".join(rng.choices(characters, k=30_000)))


def test_errors_and_streams_are_without_secrets() -> None:
    assert str(ConfigError("Wrong.", got="fs.s3a.secret.key=SECRET")) == "Wrong.\n  got: fs.s3a.secret.key=***"
    stream = io.StringIO()
    print("wrote s3a://KEY:SEC/RET@bucket/scores", 3, file=Redacted(stream))
    assert stream.getvalue() == "wrote s3a://***@bucket/scores 3\n"
