"""A server that does what no server should, byte by byte; whoever reads on to the end gets a good answer."""

from __future__ import annotations

import gzip
import json
import socket
import socketserver
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

Play: TypeAlias = Callable[[Callable[[bytes], object]], object]
"""What is done with a connection once a request is read; it is given what sends bytes."""

GOOD: dict[str, Any] = {
    "model": "m",
    "choices": [
        {
            "message": {"role": "assistant", "content": "7"},
            "finish_reason": "length",
            "logprobs": {
                "content": [
                    {
                        "token": "7",
                        "logprob": -0.01,
                        "top_logprobs": [{"token": "7", "logprob": -0.01}, {"token": "6", "logprob": -6.0}],
                    }
                ]
            },
        }
    ],
}
"""A chat completion that is a rating."""
BODY = json.dumps(GOOD).encode()
BLANK = b" " * (1 << 16)
DRIPS = 60
"""Bytes that come one by one, 0.05 seconds apart, before a slow server is through."""


def head(*lines: str, status: str = "200 OK") -> bytes:
    """The status and the header of an answer after which the connection is closed."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *lines, "", ""]).encode("latin-1")


def whole(body: bytes, *lines: str, status: str = "200 OK") -> Play:
    """An answer in one piece."""
    return lambda send: send(head(f"Content-Length: {len(body)}", *lines, status=status) + body)


def dripping(*pieces: bytes) -> Play:
    """The second piece comes one byte at a time."""

    def play(send: Callable[[bytes], object]) -> None:
        before, slow, after = pieces
        send(before)
        for at in range(len(slow)):
            send(slow[at : at + 1])
            time.sleep(0.05)
        send(after)

    return play


def repeated(before: bytes, piece: bytes, times: int, after: bytes = b"") -> Play:
    def play(send: Callable[[bytes], object]) -> None:
        send(before)
        for _ in range(times):
            send(piece)
        send(after)

    return play


def silent(send: Callable[[bytes], object]) -> None:
    time.sleep(0.05 * DRIPS)
    send(head(f"Content-Length: {len(BODY)}") + BODY)


PACKED = gzip.compress(BODY + b" " * (64 << 20), 1)
ATTACKS: dict[str, tuple[Play, str]] = {
    "a byte at a time in the body": (dripping(head(), b" " * DRIPS, BODY), "no answer within"),
    "a byte at a time in the header": (
        dripping(b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"a" * DRIPS, b"\r\n\r\n" + BODY),
        "no answer within",
    ),
    "nothing for long": (silent, "no answer within"),
    "a body of 8 MiB": (repeated(head(), BLANK, 128, BODY), "more than 1 MiB"),
    "a body of 8 MiB, announced": (
        repeated(head(f"Content-Length: {128 * len(BLANK) + len(BODY)}"), BLANK, 128, BODY),
        "more than 1 MiB",
    ),
    "chunks without end": (
        repeated(
            head("Transfer-Encoding: chunked"),
            b"10000\r\n" + BLANK + b"\r\n",
            128,
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        ),
        "more than 1 MiB",
    ),
    "events without end": (
        repeated(head("Content-Type: text/event-stream"), b"data: {}\n\n" * 1000, 200),
        "more than 1 MiB",
    ),
    "gzip of 64 MiB": (whole(PACKED, "Content-Encoding: gzip"), "more than 1 MiB"),
    "gzip of gzip": (whole(gzip.compress(PACKED), "Content-Encoding: gzip, gzip"), "nobody asked"),
    "a packing of its own": (whole(BODY, "Content-Encoding: zstd"), "nobody asked"),
    "gzip that is none": (whole(BODY, "Content-Encoding: gzip"), "called gzip and is not"),
    "header lines without end": (
        repeated(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 1000, 200, b"\r\n" + BODY),
        "speaks no HTTP, or breaks off",
    ),
    "a header line without end": (
        repeated(b"HTTP/1.1 200 OK\r\nx-a: ", BLANK, 16, b"\r\n\r\n" + BODY),
        "speaks no HTTP, or breaks off",
    ),
    "no HTTP": (lambda send: send(b"hello\n" * 9), "speaks no HTTP, or breaks off"),
    "a body that ends early": (
        lambda send: send(head(f"Content-Length: {len(BODY) + 9}") + BODY),
        "speaks no HTTP, or breaks off",
    ),
    "nothing at all": (lambda send: None, "speaks no HTTP, or breaks off"),
    "a charset that unpacks": (
        whole(zlib.compress(BODY + b" " * (64 << 20), 1), "Content-Type: text/plain; charset=zlib"),
        "no JSON",
    ),
    "a page": (whole(b"<html>Welcome</html>", "Content-Type: text/html"), "no JSON: <html>Welcome</html>"),
    "no UTF-8": (whole(b"\xff\xfe\x00{"), "no JSON"),
    "deep JSON": (whole(b"[" * 100_000 + b"]" * 100_000), "no JSON|no answer among"),
    "a number of 100,000 digits": (whole(b'{"choices": ' + b"1" * 100_000 + b"}"), "no JSON"),
    "a field twice": (whole(b'{"choices": [], ' + BODY[1:]), "a field twice"),
    "NaN as a log-probability": (whole(BODY.replace(b"-6.0", b"NaN")), "log-probability of nan"),
    "more than all": (whole(BODY.replace(b"-6.0", b"-0.01")), "add up to more than 1"),
    "come again in a thousand years": (
        whole(b'{"error": "later"}', "Retry-After: 31536000000", status="429 Too Many"),
        "accepts no more requests .HTTP 429: later",
    ),
}
"""What is done, and what is said of it."""


class Hostile(socketserver.ThreadingTCPServer):
    """Plays the same to every request, and remembers them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, play: Play, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.play, self.context = play, context
        self.requests: list[bytes] = []

    @property
    def root(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients leave, and do not shake hands."""


class _Connection(socketserver.BaseRequestHandler):
    server: Hostile

    def handle(self) -> None:
        connection: socket.socket = self.request
        if self.server.context:
            connection = self.server.context.wrap_socket(connection, server_side=True)
        with connection, suppress(OSError):
            connection.settimeout(20)
            self.server.requests.append(_read(connection))
            self.server.play(connection.sendall)


def _read(connection: socket.socket) -> bytes:
    """One request."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(1 << 16)):
            return data
        data += more
        if data[0] == 0x16:  # a client that would speak TLS
            return data
    header, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].partition(b":")[2]) - len(body) if lengths else 0
    while left > 0 and (more := connection.recv(1 << 16)):
        data, left = data + more, left - len(more)
    return data


@contextmanager
def hostile_server(play: Play, context: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """A server that runs while the block does."""
    with Hostile(play, context) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
