"""The cookie of somebody who gave a key to the pages: which key it was, signed by this process."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256
from urllib.parse import quote

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from service.access.keys import Key, KeyRing

COOKIE = "mrag_session"
WAY = "mrag_way"
_SIGNING_IN_S = 600
_LASTS = timedelta(days=7)


class Sessions:
    """Made for keys and ended with them; whoever starts the server again asks for the key again."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._signed = URLSafeTimedSerializer(secrets.token_bytes(32), salt=COOKIE)

    def key_of(self, cookie: str) -> Key | None:
        """The key that a cookie stands for, while both are valid."""
        try:
            mark = self._signed.loads(cookie, max_age=int(_LASTS.total_seconds()))
        except BadData:
            return None
        return self._ring.by(lambda key: _mark(key) == mark)

    def begin(self, response: Response, token: str, *, is_secure: bool) -> bool:
        """Set the cookie for whoever gave this key; False where it is none."""
        key = self._ring.find(token)
        if key is None:
            return False
        response.set_cookie(
            COOKIE,
            str(self._signed.dumps(_mark(key))),
            max_age=int(_LASTS.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=is_secure,
        )
        return True


def remember_way(response: Response, path: str) -> None:
    """Have the browser keep where it was going while its person signs in elsewhere."""
    response.set_cookie(
        WAY, quote(path, safe=""), max_age=_SIGNING_IN_S, httponly=True, samesite="lax"
    )


def forget_way(response: Response) -> None:
    """Have the browser forget it again."""
    response.delete_cookie(WAY, httponly=True, samesite="lax")


def end(response: Response) -> None:
    """Have the browser forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _mark(key: Key) -> str:
    """Tells a key from another one, of the same name too, and lets nobody in."""
    return sha256(f"{key.name} {key.digest}".encode()).hexdigest()[:32]
