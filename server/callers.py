"""Who sends a request, by what it carries."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from engine.errors import InvalidInput
from server.sessions import COOKIE, Sessions
from server.signed_in import SignIn
from service.access.exposed import OPEN
from service.access.keys import KeyRing
from service.access.visitor import Visitor

_LOG = logging.getLogger(__name__)
_HOME = Visitor("this machine", "admin", "home")


@dataclass(frozen=True)
class Stranger:
    """Somebody who may not come in: they showed nothing, or what is not valid here.

    `account`: they signed in, as this one, which is on no list. `wrong`: they showed a key that
    is none. `trouble`: nobody can be told apart just now.
    """

    account: str = ""
    wrong: bool = False
    trouble: bool = False


class Callers:
    """Tells who asks: a key, this home's owner, somebody signed in, or anybody where all may.

    `home_token` is called at each question. `asks_nobody`: without keys and sign-in all may
    come in, as only those can reach the server who may do everything.
    """

    def __init__(
        self,
        ring: KeyRing,
        *,
        home_token: Callable[[], str] = lambda: "",
        sign_in: SignIn | None = None,
        asks_nobody: bool = False,
    ) -> None:
        self.ring, self.sign_in, self.sessions = ring, sign_in, Sessions(ring)
        self._home_token, self._asks_nobody = home_token, asks_nobody

    def who(self, headers: Headers) -> Visitor | Stranger:
        """Who sent these headers."""
        try:
            return self._who(headers)
        except InvalidInput as error:
            _LOG.error("nobody can come in with a key: %s", error)
            return Stranger(trouble=True)

    def takes_keys(self) -> bool:
        """Whether somebody could come in with one."""
        try:
            return self.ring.is_used()
        except InvalidInput:
            return True

    def _who(self, headers: Headers) -> Visitor | Stranger:
        token = bearer(headers)
        if token is not None:
            return self._of_token(token)
        cookies = cookie_parser("; ".join(headers.getlist("cookie")))
        if COOKIE in cookies and (key := self.sessions.key_of(cookies[COOKIE])):
            return key.visitor
        if self.sign_in and (account := self.sign_in.account(cookies)):
            return self.sign_in.visitor(account) or Stranger(account=str(account.get("email")))
        if self._asks_nobody and not self.sign_in and not self.ring.is_used():
            return OPEN
        return Stranger()

    def _of_token(self, token: str) -> Visitor | Stranger:
        home = self._home_token()
        if home and hmac.compare_digest(home.encode(), token.encode("utf-8", "replace")):
            return _HOME
        key = self.ring.find(token)
        return key.visitor if key else Stranger(wrong=True)


def bearer(headers: Headers) -> str | None:
    """The key in the headers; None where there is none, as in what a proxy asks for its own way."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
