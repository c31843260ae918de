"""Servers of the tests, each a process of its own on the loopback interface."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Yield the environment variables that lead to a new S3 server, with credentials that it takes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.s3"],
        cwd=ROOT,
        # Anything goes without credentials of the server's own until a test asks for them.
        env=os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": "1000000000"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        yield {
            "AWS_ENDPOINT_URL": process.stdout.readline().strip(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
