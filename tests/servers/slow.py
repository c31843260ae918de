"""A proxy on the loopback interface that makes every request slow, and counts how many are waiting."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class SlowProxy(socketserver.ThreadingTCPServer):
    """Each connection of a client is one to the server; answers begin `delay` seconds late.

    Requests in which `stuck` occurs are never answered.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str, delay: float, stuck: bytes | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.server = (urlsplit(server).hostname, urlsplit(server).port)
        self.delay = delay
        self.stuck = stuck
        self.waiting = 0
        self.most_waiting = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def wait(self) -> None:
        with self.lock:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        time.sleep(self.delay)
        with self.lock:
            self.waiting -= 1


class _Connection(socketserver.BaseRequestHandler):
    server: SlowProxy

    def handle(self) -> None:
        with socket.create_connection(self.server.server) as upstream:
            threading.Thread(target=self.answer, args=(upstream,), daemon=True).start()
            while data := self.request.recv(1 << 16):
                self.server.wait()
                if self.server.stuck is not None and self.server.stuck in data:
                    continue
                upstream.sendall(data)

    def answer(self, upstream: socket.socket) -> None:
        try:
            while data := upstream.recv(1 << 16):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client has left


@contextmanager
def slow_proxy(server: str, delay: float, stuck: bytes | None = None) -> Iterator[SlowProxy]:
    """Yield a proxy of a server of that address."""
    with SlowProxy(server, delay, stuck) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
