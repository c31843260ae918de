"""Starts a server of the tests, and speaks to it beside the code under test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).parents[2]


class ChatServer:
    """`tests.servers.chat`, running."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"

    def script(self, **fields: Any) -> None:
        """Behave like this from now on; the rest as usual."""
        self._call("/script", fields)

    def requests(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """What was asked since the last script: the header with the key, the body but for the messages."""
        return [request for request in self._call("/seen")["requests"] if request["path"] == path]

    def most_at_once(self) -> int:
        """Chat requests in flight at once, at most."""
        return int(self._call("/seen")["most_at_once"])

    def _call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with build_opener(ProxyHandler({})).open(Request(self.root + path, data), timeout=10) as answer:
            return json.load(answer)


@contextmanager
def chat_server(port: int = 0) -> Iterator[ChatServer]:
    """A chat server that runs while the block does, at a free port or at the one given."""
    command = [sys.executable, "-m", "tests.servers.chat", str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield ChatServer(int(process.stdout.readline()))
        finally:
            process.kill()
