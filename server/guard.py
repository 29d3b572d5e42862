"""What stands before the app: names, headers, who may come in, and how much they may send."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config

from engine.errors import InvalidInput
from engine.settings import Settings
from server.bodies import BodyLimits, limits_of
from server.callers import Callers
from server.door import Door
from server.headers import SecurityHeaders
from server.hosts import HostCheck, hosts_of
from server.rates import Rates
from server.refusals import is_for_programs
from server.signed_in import SignIn
from service.access.exposed import check_exposed, is_loopback
from service.access.keys import KeyRing
from ui.shared.providers import USER_HEADERS, sign_in_providers

SECRETS_BESIDE = Path(__file__).parents[1] / ".streamlit" / "secrets.toml"
"""Where Streamlit looks for secrets, too, once it knows where its page lies."""


def guard(
    settings: Settings, *, address: str, home_token: Callable[[], str] = lambda: ""
) -> list[Middleware]:
    """What a server that listens at `address` is to be wrapped in, the outermost first.

    Raises InvalidInput where it must not start: strangers would reach it and nobody be asked,
    or its sign-in could be forged.
    """
    sign_in = sign_in_of(settings)
    ring = KeyRing(settings.home)
    callers = Callers(
        ring,
        home_token=home_token,
        sign_in=sign_in,
        asks_nobody=is_loopback(address) or settings.open,
    )
    check_exposed(
        address,
        keys=callers.takes_keys(),
        sign_in=sign_in is not None,
        is_open=settings.open,
    )
    named = (*settings.hosts, *([sign_in.host] if sign_in else []))
    return [
        Middleware(SecurityHeaders),
        Middleware(HostCheck, hosts=hosts_of(address, named)),
        Middleware(ApiCors, origins=settings.cors_origins),
        Middleware(
            Door, callers=callers, rates=Rates(settings.rate_limit), origins=settings.cors_origins
        ),
        Middleware(
            BodyLimits, limit=limits_of(settings), seconds=float(settings.max_upload_seconds)
        ),
    ]


def check_start(settings: Settings, address: str) -> None:
    """Raise InvalidInput where a server must not start there; see `guard`."""
    guard(settings, address=address)


def sign_in_of(settings: Settings) -> SignIn | None:
    """The sign-in that is configured; raises InvalidInput for one that does not hold."""
    files = [str(path) for path in config.get_option("secrets.files")]
    if str(SECRETS_BESIDE) not in files:
        config.set_option("secrets.files", [*files, str(SECRETS_BESIDE)])
    providers = sign_in_providers()
    if providers is None:
        return None
    if not providers:
        raise InvalidInput(
            "the sign-in names no provider; give client_id, client_secret and server_metadata_url "
            "as .streamlit/secrets.example.toml shows"
        )
    return SignIn(settings, providers)


def streamlit_options(settings: Settings, address: str) -> dict[str, object]:
    """What Streamlit has to be told so that it does as the settings and the guard say."""
    return {
        "server.address": address,
        "server.maxUploadSize": math.ceil(settings.max_upload_bytes / 2**20),
        "server.trustedUserHeaders": USER_HEADERS,
        "server.enableXsrfProtection": True,
        "client.allowedOrigins": [],
    }


class ApiCors:
    """Lets other servers' pages that are named call the API; none where none is."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._api = app
        if origins:
            self._api = CORSMiddleware(
                app,
                allow_origins=origins,
                allow_methods=("GET", "POST", "DELETE"),
                allow_headers=("Authorization", "Content-Type"),
                expose_headers=("Location", "Retry-After", "X-Next-Start", "X-Request-Id"),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a browser asks first, and say whose answer may be read."""
        is_api = scope["type"] == "http" and is_for_programs(scope["path"])
        await (self._api if is_api else self._app)(scope, receive, send)
