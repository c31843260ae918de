"""Whether a server is asked through a proxy, and what else there is to know of the way to it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Proxy:
    """What stands between us and a server."""

    url: str
    """As the environment gives it, perhaps with user and password."""

    def __str__(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the address must never be shown, as it is and decoded."""
        login = self.url.partition("://")[2].rpartition("@")[0]
        password = login.partition(":")[2]
        return tuple(dict.fromkeys(filter(None, (login, unquote(login), password, unquote(password)))))


def find_proxy(url: str) -> Proxy | None:
    """The proxy for an address by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or the system's settings.

    A server on this machine is never asked through one: it would be another machine's.
    """
    parts, known = urlsplit(url), getproxies()
    found = known.get(parts.scheme) or known.get("all")
    host = parts.hostname or ""
    if not found or is_here(host) or _is_exempt(host, parts.port, known.get("no", "")):
        return None
    return Proxy(found if "://" in found else f"http://{found}")


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine."""
    address = as_ip(host)
    if address is None:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback


def is_here(host: str) -> bool:
    """Whether a host is this machine, also by the address that stands for all of its own (0.0.0.0)."""
    address = as_ip(host)
    return is_loopback(host) or (address is not None and address.is_unspecified)


def as_ip(host: str) -> IpAddress | None:
    """A host as an address, in all ways in which the system takes one (127.1, ::ffff:127.0.0.1)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_exempt(host: str, port: int | None, listed: str) -> bool:
    """Whether NO_PROXY names a host: by name, by a domain that it is in, by address or by network."""
    address = as_ip(host)
    for entry in filter(None, (part.strip().lower() for part in listed.split(","))):
        name, _, number = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if number and number != str(port):
            continue
        domain = name.removeprefix("*").lstrip(".")
        if entry == "*" or host.lower() == domain or host.lower().endswith(f".{domain}"):
            return True
        if address is not None and _is_within(address, name.strip("[]")):
            return True
    return False


def _is_within(address: IpAddress, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
