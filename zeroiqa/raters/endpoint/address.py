"""Which server an endpoint is: its address, the key for it, and how hard it may be pressed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from zeroiqa.errors import UserError, printable
from zeroiqa.raters.endpoint.proxy import is_loopback

FORM = "openai:http://HOST:PORT/v1#MODEL"
_KEYS = ("ZEROIQA_API_KEY", "OPENAI_API_KEY")


@dataclass(frozen=True)
class Address:
    """A server, and a model on it."""

    url: str
    """Where /chat/completions is appended; no user, password, query or fragment, no slash at the end."""
    model: str | None
    """As the server calls it; None: the only one that it lists."""

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, by its name."""
        return is_loopback(urlsplit(self.url).hostname or "")

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way can read along."""
        return self.url.startswith("https:")


@dataclass(frozen=True)
class Limits:
    """How hard a server is pressed. They change no rating, so they are no part of a run's settings."""

    concurrency: int = 16
    """Requests in flight at once, at most."""
    timeout: float = 120.0
    """Seconds to wait for an answer."""
    retries: int = 5
    """Further attempts after a lost connection, a timeout, 429 or 5xx; a Retry-After is respected."""


def parse_address(argument: str) -> Address:
    """The text after "openai:".

    Raises:
        UserError: it is no http(s) address, or holds what must not be written down: a password or a query.
    """
    url, _, model = argument.partition("#")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if "@" in parts.netloc or parts.query:
        raise UserError(
            "An endpoint's address holds no user, password or query, for it is written into the run folder; "
            "put the key into ZEROIQA_API_KEY."
        )
    good = url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not good:
        shown = "" if "@" in argument else f", found {printable(argument)!r}"
        raise UserError(f"The rater openai needs the address of a server{shown}; write {FORM}.")
    if not model.isprintable():
        raise UserError(f"{printable(model)!r} is no model's name; write {FORM}.")
    return Address(url.rstrip("/"), model.strip() or None)


def find_key() -> str:
    """The key from ZEROIQA_API_KEY, else OPENAI_API_KEY; empty without. It must never be shown.

    Raises:
        UserError: it holds what no header can carry.
    """
    for name in _KEYS:
        key = os.environ.get(name, "").strip()
        if key:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise UserError(f"The key in {name} holds a character that no key has; set it again.")
            return key
    return ""


def find_limits() -> Limits:
    """Limits from ZEROIQA_ENDPOINT_CONCURRENCY, ZEROIQA_ENDPOINT_TIMEOUT and ZEROIQA_ENDPOINT_RETRIES.

    Raises:
        UserError: one of them is no number in its range.
    """
    usual = Limits()
    return Limits(
        concurrency=int(_number("ZEROIQA_ENDPOINT_CONCURRENCY", usual.concurrency, 1, 1024)),
        timeout=_number("ZEROIQA_ENDPOINT_TIMEOUT", usual.timeout, 0.1, 86400),
        retries=int(_number("ZEROIQA_ENDPOINT_RETRIES", usual.retries, 0, 100)),
    )


def _number(name: str, usual: float, low: float, high: float) -> float:
    text = os.environ.get(name, "").strip()
    if not text:
        return usual
    try:
        value = int(text) if isinstance(usual, int) else float(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        kind = "a whole number" if isinstance(usual, int) else "a number"
        raise UserError(f"{name} is {printable(text)!r}; it must be {kind} from {low:g} to {high:g}.")
    return value
