"""Under which names a server may be asked: the rest is another site that points here.

A page of a stranger's site may resolve its own name to this machine (DNS rebinding) and would then
be of one origin with the app. It cannot do so with an IP address or with `localhost`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.refusals import Refusal, refuse
from service.access.exposed import is_loopback


@dataclass(frozen=True)
class Hosts:
    """The names of a server; `any_ip`: whatever addresses its machine has, too."""

    names: frozenset[str]
    any_ip: bool

    def allow(self, host: str) -> bool:
        """Whether a Host header, with or without a port, names this server."""
        name = _name(host)
        if not name:
            return False
        return name in self.names or is_loopback(name) or (self.any_ip and _is_ip(name))


def hosts_of(address: str, named: Iterable[str] = ()) -> Hosts:
    """The names of a server that listens there; `named` are those that its owner gave it."""
    names = frozenset(name.strip("[]") for name in (address.lower(), *named))
    return Hosts(names - {""}, any_ip=not is_loopback(address))


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin came from the host that is asked now.

    The scheme is not compared: a proxy that ends TLS asks without it.
    """
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and bool(host) and parts.netloc == host.lower()


class HostCheck:
    """Lets through, of requests and websockets, what was asked of this server by its name."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what was asked by one of the server's names."""
        if scope["type"] in {"http", "websocket"}:
            given = Headers(scope=scope).getlist("host")
            if len(given) != 1 or not self._hosts.allow(given[0]):
                said = "This server goes by another name; its owner can add this one to MRAG_HOSTS."
                await refuse(Refusal(421, said), scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """The name in a Host header, in small letters; "" for what is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.netloc != host or parts.username is not None or parts.path or parts.query:
        return ""
    return (parts.hostname or "").rstrip(".")


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
