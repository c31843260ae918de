"""What the failures of a server mean for the user: one sentence each, with nothing secret in it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from zeroiqa.errors import UserError, printable
from zeroiqa.raters.endpoint.address import Address, Limits
from zeroiqa.raters.endpoint.answers import as_text
from zeroiqa.raters.endpoint.proxy import Proxy
from zeroiqa.raters.endpoint.secrets import without_secrets
from zeroiqa.raters.endpoint.transport import REDIRECTED

_LONGEST_QUOTE = 200
"""Characters of a server's own words within a sentence."""
_KNOCK_SECONDS = 3.0
"""Patience with a port of which only the protocol is asked."""


class RefusalError(Exception):
    """The server will not answer this one request."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(status, explanation)
        self.status = status
        """HTTP status, 4xx or 5xx."""
        self.explanation = explanation
        """The server's own words, short, printable and without the key."""


@dataclass(frozen=True)
class Explainer:
    """Turns the exceptions of the client into sentences about one server."""

    address: Address
    limits: Limits
    proxy: Proxy | None
    key: str

    def __str__(self) -> str:
        return f"The server {self.address.url}"

    @property
    def _through(self) -> str:
        return f" through the proxy {self.proxy}" if self.proxy else ""

    def hidden(self, text: str) -> str:
        """Words of others without the key and the proxy's password: all that is shown goes through here."""
        return without_secrets(text, (self.key, *(self.proxy.secrets if self.proxy else ())))

    def quoted(self, text: str) -> str:
        """Words of others, fit for a sentence: short, without secrets, control characters and line ends."""
        text = printable(" ".join(self.hidden(text).split())).rstrip(".;, ")
        return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."

    async def explain(self, error: Exception, seconds: float) -> Exception:
        """What to raise in place of an exception of the client.

        Args:
            error: As the package openai raises it, or whatever lies between the server and us.
            seconds: How long an answer was waited for.
        """
        import openai

        if isinstance(error, openai.APITimeoutError):
            return await self._timeout(error, seconds)
        if isinstance(error, openai.APIConnectionError):
            return await self._connection_error(error)
        if isinstance(error, openai.APIStatusError):
            return await self._status_error(error.status_code, error.response)
        reason = self.quoted(f"{type(error).__name__}: {error}")
        return UserError(f"{self} cannot be asked{self._through} ({reason}); check the address.")

    async def _timeout(self, error: Exception, seconds: float) -> UserError:
        unmet = any(type(cause).__name__ == "ConnectTimeout" for cause in _causes(error))
        if unmet and (other := await self._other_protocol()):
            return other
        remedy = "" if seconds < self.limits.timeout else ", or set ZEROIQA_ENDPOINT_TIMEOUT higher"
        return UserError(
            f"{self} gave no answer within {seconds:g} seconds{self._through}; see whether it is the right "
            f"one and not overloaded{remedy}."
        )

    async def _connection_error(self, error: Exception) -> UserError:
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return UserError(
                    f"{self} has a certificate that is not trusted{self._through} "
                    f"({self.quoted(cause.verify_message)}); write the host by the name in it, or let "
                    "SSL_CERT_FILE name the file of the authority that signed it."
                )
        names = {type(cause).__name__ for cause in causes}
        if not names & {"gaierror", "ConnectionRefusedError"} and (other := await self._other_protocol()):
            return other
        reason = self.quoted(str(error.__cause__ or error)) or self.quoted(type(causes[-1]).__name__)
        if "RemoteProtocolError" in names:
            return UserError(
                f"{self} cannot be reached{self._through}: it speaks no HTTP, or breaks off ({reason}); see "
                "whether it still runs, and whether the address has the right port."
            )
        remedy = "start it, or correct the address"
        if self.proxy:
            remedy += ", or the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY (NO_PROXY lists exceptions)"
        return UserError(f"{self} cannot be reached{self._through} ({reason}); {remedy}.")

    async def _status_error(self, status: int, response: Any) -> Exception:
        words = self.quoted(explanation(response.text))
        if 300 <= status < 400:
            return self._redirect(status, response.headers.get(REDIRECTED, ""))
        if status in (401, 403):
            found = "refuses the key" if self.key else "wants a key"
            return UserError(f"{self} {found} (HTTP {status}: {words}); set ZEROIQA_API_KEY to a valid one.")
        if status == 407 and self.proxy:
            return UserError(
                f"{self} cannot be reached{self._through}, which wants another user or password (HTTP 407: "
                f"{words}); put them into the proxy's address in the environment."
            )
        if status == 429:
            return UserError(
                f"{self} accepts no more requests (HTTP 429: {words}); give the same command again later, or "
                f"set ZEROIQA_ENDPOINT_CONCURRENCY below {self.limits.concurrency}."
            )
        if status == 400 and "https" in words.lower() and (other := await self._other_protocol()):
            return other
        if self.proxy and status in (502, 503, 504):
            words += f"; asked{self._through}"
        return RefusalError(status, words)

    def _redirect(self, status: int, location: str) -> UserError:
        """A redirect, with its target but for what an address may hold of secrets."""
        try:
            parts = urlsplit(urljoin(f"{self.address.url}/", location))
            target = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        except ValueError:
            target = location
        where = f"to {self.quoted(target)}" if location else "without saying where to"
        return UserError(
            f"{self} redirects {where} (HTTP {status}), which is not followed, so that images and keys go "
            "nowhere else; give the address that is meant."
        )

    async def _other_protocol(self) -> UserError | None:
        """A sentence if the port speaks TLS where the address says http, or the other way round."""
        url = self.address.url
        parts = urlsplit(url)
        host = parts.hostname or ""
        if self.proxy:
            return None
        if parts.scheme == "http" and await _speaks_tls(host, parts.port or 80):
            right = f"https{url.removeprefix('http')}"
            return UserError(f"{self} speaks TLS, and the address says http; write {right}.")
        if parts.scheme == "https" and await _speaks_plainly(host, parts.port or 443):
            right = f"http{url.removeprefix('https')}"
            return UserError(f"{self} speaks no TLS, and the address says https; write {right}.")
        return None


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether a handshake succeeds, whatever the certificate; nothing is sent after it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await _knock(host, port, context) is not None


async def _speaks_plainly(host: str, port: int) -> bool:
    """Whether the port answers a request without content in plain HTTP."""
    return await _knock(host, port, None) == b"HTTP/"


async def _knock(host: str, port: int, context: ssl.SSLContext | None) -> bytes | None:
    """The first bytes of a port (none are asked for with TLS); None where there is no connection."""
    with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_KNOCK_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                if context:
                    return b""
                writer.write(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return await reader.readexactly(5)
            finally:
                writer.transport.abort()
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came of."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        found = found.__cause__ or found.__context__
    return iter(seen)


def explanation(body: str) -> str:
    """The message within an error's body, of which each server has a shape of its own."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return body or "no explanation"
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) else as_text(found)
