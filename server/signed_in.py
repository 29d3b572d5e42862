"""Who signed in, by the cookie that Streamlit's own sign-in gave them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from streamlit.auth_util import encode_provider_token, get_origin_from_redirect_uri
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from engine.errors import InvalidInput
from engine.settings import Settings
from service.access.roles import role_of
from service.access.visitor import Visitor

_SECRET_LENGTH = 32


class SignIn:
    """The sign-in of the secrets' `[auth]`; `providers`: "" is the nameless one.

    Raises InvalidInput where anybody could make such a cookie, or none would ever be valid.
    """

    def __init__(self, settings: Settings, providers: list[str]) -> None:
        self._settings, self.providers = settings, providers
        if len(get_cookie_secret()) < _SECRET_LENGTH:
            raise InvalidInput(
                f"cookie_secret of the sign-in is shorter than {_SECRET_LENGTH} characters, so "
                "that a stranger could find it; make one: python -c 'import secrets; "
                "print(secrets.token_urlsafe(48))'"
            )
        if not self.host:
            raise InvalidInput(
                "redirect_uri of the sign-in is no address; give the one of this server that ends "
                "in /oauth2callback, as .streamlit/secrets.example.toml shows"
            )

    @property
    def host(self) -> str:
        """The name under which browsers come back from the provider."""
        return urlsplit(get_origin_from_redirect_uri() or "").hostname or ""

    def account(self, cookies: Mapping[str, str]) -> Mapping[str, Any] | None:
        """What the provider said of whoever sent these cookies; None: nobody signed in.

        A cookie in several parts is nobody's: each is signed alone, so that one who signs in
        twice could put parts of both together.
        """
        cookie = cookies.get(USER_COOKIE_NAME, "").encode("latin-1", "replace")
        decoded = decode_signed_value(get_cookie_secret(), USER_COOKIE_NAME, cookie)
        try:
            told = json.loads(decoded) if decoded else None
        except ValueError:
            return None
        if not isinstance(told, dict) or told.get("is_logged_in") is not True:
            return None
        return told if told.get("origin") == get_origin_from_redirect_uri() else None

    def visitor(self, account: Mapping[str, Any]) -> Visitor | None:
        """What they may do; None: not even come in."""
        email = account.get("email")
        role = role_of(email, account.get("email_verified"), self._settings)
        return Visitor(str(email).lower(), role, "sign-in") if role else None

    def login_path(self, provider: str) -> str:
        """Where Streamlit begins a sign-in; good for two minutes."""
        return f"/auth/login?provider={encode_provider_token(provider or 'default')}"
