"""The way to a server and back: what an answer may cost in bytes and seconds, what of it is passed on."""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from types import ModuleType
from typing import Any

MOST_BYTES = 1 << 20
"""Of an answer, as it is sent and unpacked; one with the 20 likeliest tokens has 5,000."""
_LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait before the next attempt; who asks for more is asked as usual."""
REDIRECTED = "x-redirected-to"
"""The header in which the target of a redirect is passed on; under its own name it would be read."""
_KEPT = {"location": REDIRECTED, "x-should-retry": "x-should-retry"}


class UnboundedError(Exception):
    """An answer that is no one's to read to its end; says what it is."""


@dataclass(frozen=True)
class BoundedTransport:
    """A transport of the client's HTTP library; an answer is read here, whole, or refused.

    Nothing of an answer but its status, its body and the few headers that mean something to the client is
    passed on: no cookies, which would grow, and no charset, which could be any codec of Python.
    """

    inner: Any
    """The library's own transport."""
    library: ModuleType
    """The HTTP library: httpx, or httpx2 for newer clients."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request and read the answer.

        The seconds that the request may wait for data (`timeout`) are those that all of it may take, from the
        connection to the last byte.

        Raises:
            UnboundedError: the answer is too long, or packed in a way that nobody asked for.
        """
        timeouts = request.extensions["timeout"]
        seconds = timeouts["read"]
        # The library leaves a socket open that is cancelled within a handshake: its own limits come first.
        timeouts["connect"] = min(timeouts["connect"], 0.45 * seconds)
        try:
            async with asyncio.timeout(seconds):
                answer = await self.inner.handle_async_request(request)
                try:
                    body = await _body(answer)
                finally:
                    await answer.aclose()
        except TimeoutError:
            raise self.library.ReadTimeout(f"no whole answer in {seconds:g} s", request=request) from None
        headers = {ours: answer.headers[name] for name, ours in _KEPT.items() if name in answer.headers}
        if (wait := _wait(answer.headers)) is not None:
            headers["retry-after"] = f"{wait:.3f}"
        headers["content-type"] = "application/json"
        return self.library.Response(answer.status_code, headers=headers, content=body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.inner.aclose()

    async def __aenter__(self) -> BoundedTransport:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.inner.__aexit__(*error)


def bounded_client(client: type[Any], proxy: str | None) -> Any:
    """A client of an HTTP library that follows no redirect and reads no answer without bounds.

    Args:
        client: The asynchronous client that the package openai makes; its library is the one to use.
        proxy: Address of the proxy to ask, with its password; None: none, whatever the environment says.
    """
    base = next(kind for kind in client.__mro__ if not kind.__module__.startswith("openai"))
    library = import_module(base.__module__.partition(".")[0])
    inner = library.AsyncHTTPTransport(proxy=proxy, limits=library.Limits())  # requests are counted elsewhere
    return client(transport=BoundedTransport(inner, library), follow_redirects=False)


async def _body(answer: Any) -> bytes:
    """The body of an answer, unpacked."""
    packing = answer.headers.get("content-encoding", "").strip().lower()
    unpack = _unpacker(packing)
    found, received = bytearray(), 0
    try:
        async for chunk in answer.stream:
            received += len(chunk)
            found += unpack(chunk, MOST_BYTES + 1 - len(found))
            if max(received, len(found)) > MOST_BYTES:
                raise UnboundedError(f"more than {MOST_BYTES >> 20} MiB")
    except zlib.error as error:
        raise UnboundedError(f"what is called {packing} and is not ({error})") from None
    return bytes(found)


def _unpacker(packing: str) -> Callable[[bytes, int], bytes]:
    """What unpacks a piece of a body, to at most as many bytes."""
    if packing in ("", "identity"):
        return lambda chunk, _: chunk
    if packing in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=47).decompress  # 32: the header tells which of both; 15: any window
    raise UnboundedError(f"a content that is packed as {packing!r}, for which nobody asked")


def _wait(headers: Any) -> float | None:
    """Seconds that the server asks us to wait, in any way to say so; None for none, or for too many."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after", "")
    try:
        seconds = float(text) if milliseconds is None else float(milliseconds) / 1000
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return seconds if math.isfinite(seconds) and 0 < seconds <= _LONGEST_WAIT else None
