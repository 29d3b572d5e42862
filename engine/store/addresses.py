"""The addresses of a Qdrant server or cluster, as MRAG_QDRANT_URL names them."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from engine.settings import Settings

_LOCAL_ENDINGS = (".local", ".lan", ".internal", ".localhost")


def addresses(url: str) -> list[str]:
    """Each of the addresses, which are separated by commas."""
    return [part for part in (one.strip() for one in url.split(",")) if part]


def same_place(one: str, other: str) -> bool:
    """Whether two settings of the URL mean the same server, or the embedded store both.

    They do if they share an address: nodes come to a cluster and go.
    """
    if not one or not other:
        return one == other
    return not set(addresses(one)).isdisjoint(addresses(other))


def in_the_clear(settings: Settings) -> list[str]:
    """The addresses outside a private network to which the key would go without encryption."""
    if not settings.qdrant_api_key.get_secret_value():
        return []
    return [
        address
        for address in addresses(settings.qdrant_url)
        if not address.startswith("https:") and not _is_private(urlsplit(address).hostname or "")
    ]


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:  # a name: without a dot it means something in this network only
        return "." not in host or host.endswith(_LOCAL_ENDINGS)
