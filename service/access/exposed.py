"""Whether a server may listen where it is told to, and who comes in where nobody is asked."""

from __future__ import annotations

from ipaddress import ip_address

from engine.errors import InvalidInput
from service.access.visitor import Visitor

OPEN = Visitor("anybody", "admin", "open")
"""Whoever reaches a server that asks nobody who they are."""


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if address.lower() == "localhost":
        return True
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposed(
    address: str,
    *,
    guarded: bool = True,
    keys: bool = False,
    sign_in: bool = False,
    is_open: bool = False,
) -> None:
    """Raise InvalidInput where strangers could reach a server that asks nobody who they are.

    `guarded`: the server itself looks at every request. `keys`, `sign_in`: it has some to ask
    for. `is_open`: its owner said that nobody is to be asked (`MRAG_OPEN`).
    """
    if is_loopback(address):
        return
    if not guarded:
        raise InvalidInput(
            f"at {address} other machines reach this app, and nothing looks at what they upload or "
            f"load; use `mrag serve --address {address}`, which does, or --server.address 127.0.0.1"
        )
    if keys or sign_in or is_open:
        return
    raise InvalidInput(
        f"at {address} other machines reach mRAG, and nobody is asked who they are; make a key "
        "(mrag keys add NAME --role admin), configure a sign-in "
        "(.streamlit/secrets.example.toml), or, where only those can reach the port who may do "
        "everything, set MRAG_OPEN=1"
    )
