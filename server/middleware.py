"""What stands before pages, API and agents: the outermost first."""

from __future__ import annotations

import math
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import InvalidInput
from engine.settings import Settings
from service.access.visitor import Visitor

_OPEN = Visitor("this machine", "admin", "open")
_HOME = Visitor("this machine", "admin", "home")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def guard(
    settings: Settings, *, address: str, home_token: Callable[[], str] = lambda: ""
) -> list[Middleware]:
    """Who may come in, and how: on this machine's own address everybody.

    Raises InvalidInput for another address, as nobody would be asked who they are.
    """
    del settings
    if address not in _LOOPBACK:
        raise InvalidInput(
            f"at {address} other machines reach the server, and nobody is asked who they are; "
            "listen at 127.0.0.1"
        )
    return [Middleware(OpenDoor, home_token=home_token)]


def streamlit_options(settings: Settings, address: str) -> dict[str, object]:
    """What Streamlit is to be told, so that it does as the settings say."""
    return {
        "server.address": address,
        "server.maxUploadSize": math.ceil(settings.max_upload_bytes / 2**20),
    }


class OpenDoor:
    """Lets everybody in: who shows the home's token as its owner, others as they are."""

    def __init__(self, app: ASGIApp, home_token: Callable[[], str]) -> None:
        self._app, self._home_token = app, home_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note who asks, and pass the request on."""
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "")
            is_home = given == f"Bearer {self._home_token()}"
            scope.setdefault("state", {})["visitor"] = _HOME if is_home else _OPEN
        await self._app(scope, receive, send)
