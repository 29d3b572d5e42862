"""A line for each request, by which what a client saw can be found again."""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem, problem_response
from engine.legible import legible

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PLACES = ("/api", "/metrics", "/mcp")
_NOBODY = "-"
_NOWHERE = "There is nothing at this address, which has characters that none here has."
_ACCESS = logging.getLogger("mrag.access")
_REQUEST: ContextVar[str] = ContextVar("request", default=_NOBODY)


class RequestLog:
    """Gives each request of a program an id, and logs what became of it.

    Never what was looked for, nor a key: the path, and of the visitor the name alone. What goes
    wrong inside without a word is answered as a problem, and logged with the id. To be the
    outermost, so that it sees what is refused, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it when it has been answered."""
        if scope["type"] != "http" or not _is_for_programs(scope["path"]):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        given = Headers(scope=scope).get(HEADER, "")
        key = given if _SANE.fullmatch(given) else secrets.token_hex(8)
        scope["state"]["request_id"] = key
        answer = _Answer(send, key)
        began, token = perf_counter(), _REQUEST.set(key)
        try:
            # No router finds a path with a line break, whatever it begins with.
            app = self._app if scope["path"].isprintable() else problem(404, _NOWHERE)
            await app(scope, receive, answer)
        except Exception as error:
            if answer.status and not answer.ended:
                raise  # so that the client sees that it was cut short
            if not answer.status:
                response = problem_response(Request(scope), error)
                await response(scope, receive, answer)
        finally:
            visitor = scope["state"].get("visitor")
            _ACCESS.info(
                "%s %s %s %.0f ms visitor=%s id=%s",
                legible(scope["method"]),
                legible(scope["path"]),
                answer.status or _NOBODY,
                (perf_counter() - began) * 1000,
                legible(visitor.name) if visitor else _NOBODY,
                key,
            )
            _REQUEST.reset(token)


class _Answer:
    """Sends an answer on, with the id in its headers, and knows how far it is."""

    def __init__(self, send: Send, key: str) -> None:
        self._send, self._key = send, key
        self.status, self.ended = 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[HEADER] = self._key
        await self._send(message)
        self.ended = message["type"] == "http.response.body" and not message.get("more_body")


class WithRequestId(logging.Filter):
    """Adds the id of the request that a line belongs to, as `request`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through."""
        record.request = _REQUEST.get()
        return True


def _is_for_programs(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in _PLACES)
