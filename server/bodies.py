"""How large and how slow a request's body may be: counted as it comes, whatever it claims."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.settings import Settings
from server.refusals import Refusal, refuse
from service.access.visitor import Visitor

_SMALL = 2**20
"""For what is no upload: forms and JSON."""

_AROUND = 2**20
"""What names, fields and boundaries around uploaded files take."""

_IDLE_S = 30
_TOO_SLOW = "The rest of what was sent did not come in time; send it again, or less at once."

Limit = Callable[[str, str, Visitor | None], int]
"""Method, path and visitor -> the largest body, in bytes."""


def limits_of(settings: Settings) -> Limit:
    """The limits that the settings name, by route.

    Streamlit keeps in memory what its pages are given: of those who may not fill collections it
    takes pictures, and no archives.
    """
    upload, picture = settings.max_upload_bytes + _AROUND, settings.max_image_bytes + _AROUND

    def limit(method: str, path: str, visitor: Visitor | None) -> int:
        if path.startswith("/_stcore/upload_file/") and method == "PUT":
            return upload if visitor and visitor.may("write") else min(picture, upload)
        if not path.startswith("/api/v1/"):
            return picture * 2 if path.startswith("/mcp") else _SMALL  # a picture as base64
        if path == "/api/v1/search":
            return picture
        takes_files = path.endswith(
            (
                "/caption",
                "/compare",
                "/outline",
                "/collections",
                "/ingests",
                "/ask",
                "/ask/events",
            )
        )
        return upload if takes_files else _SMALL

    return limit


@dataclass
class _Reading:
    """A body while it comes: how much has come, and what was wrong with it."""

    come: int = 0
    ended: bool = False
    refusal: Refusal | None = None
    answered: bool = False


class _Refused(Exception):
    """Ends the reading of a body that is refused."""


class BodyLimits:
    """Ends the reading of what is too large (413) or too slow (408)."""

    def __init__(
        self, app: ASGIApp, limit: Limit, *, seconds: float = 1800, idle_s: float = _IDLE_S
    ) -> None:
        self._app, self._limit = app, limit
        self._seconds, self._idle_s = seconds, idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its body while it may come."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visitor = scope.get("state", {}).get("visitor")
        most = self._limit(scope["method"], scope["path"], visitor)
        if _declared(scope) > most:
            await refuse(_too_large(most), scope, receive, send)
            return
        reading = _Reading()
        end = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            if reading.refusal:
                raise _Refused
            if reading.ended:
                return await receive()
            message = await self._awaited(receive, end)
            if message is None:
                reading.refusal = Refusal(408, _TOO_SLOW)
                raise _Refused
            reading.come += len(message.get("body", b""))
            reading.ended = not message.get("more_body", False)
            if reading.come > most:
                reading.refusal = _too_large(most)
                raise _Refused
            return message

        async def unless_refused(message: Message) -> None:
            if reading.refusal and not reading.answered:
                return  # what the app makes of the end of its reading
            reading.answered = True
            await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        except Exception:
            if not reading.refusal:
                raise
        if reading.refusal and not reading.answered:
            await refuse(reading.refusal, scope, receive, send)

    async def _awaited(self, receive: Receive, end: float) -> Message | None:
        """The next part of the body; None where it takes too long."""
        left = end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._idle_s, left)):
                return await receive()
        except TimeoutError:
            return None


def _declared(scope: Scope) -> int:
    """What the request says of its length: nothing, or nonsense, is found out by counting."""
    given = Headers(scope=scope).get("content-length", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 20 else 0


def _too_large(most: int) -> Refusal:
    said = f"This is larger than the {most:,} bytes that are taken here; send less at once."
    return Refusal(413, said)
