"""The door: before anything of the app is reached it is known who asks, and whether they may.

Closed by default: what is not named here as open is answered to those who may come in, alone.
Which role a call needs is said where it is answered (`Visitor.may`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection
from dataclasses import asdict
from urllib.parse import parse_qs, unquote

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import InvalidInput
from server.callers import Callers, Stranger, bearer
from server.door_pages import inside, not_allowed, way_in
from server.hosts import is_same_origin
from server.rates import Rates
from server.refusals import Refusal, answer, is_for_programs, refuse
from server.sessions import WAY, end, forget_way, remember_way
from server.watch import Watch
from service.access.visitor import Visitor

_LOG = logging.getLogger(__name__)

VISITOR_HEADER = b"x-mrag-visitor"
"""How the pages are told who looks at them: whoever sends it is not believed."""

OPEN_PATHS = frozenset({"/_stcore/health", "/api/v1/health", "/api/v1/ready"})
"""Whether the server is there, which what watches over it asks."""

SIGN_IN_PATHS = frozenset({"/auth/login", "/auth/logout", "/oauth2callback"})
"""Streamlit's own, by which one signs in and out."""

_NOWHERE = ("/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_FORM_BYTES = 4096
_FORM_S = 30


class Door:
    """Lets in whoever may come in, and shows the way in to the others.

    `origins`: other servers' pages that may call the API.
    """

    def __init__(
        self, app: ASGIApp, callers: Callers, rates: Rates, origins: Collection[str] = ()
    ) -> None:
        self._app, self._callers, self._rates = app, callers, rates
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its visitor, or answer it here."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(_NOWHERE):
            await refuse(Refusal(404, "There is nothing here."), scope, receive, send)
        elif scope["type"] == "http" and self._is_open(scope["method"], path):
            who = self._callers.who(Headers(scope=scope))
            if isinstance(who, Visitor):
                scope.setdefault("state", {})["visitor"] = who
            await self._app(_unnamed(scope), receive, send)
        elif scope["type"] == "http" and path in _WAYS:
            await self._go(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    def _is_open(self, method: str, path: str) -> bool:
        if method not in _SAFE:
            return False
        return path in OPEN_PATHS or (self._callers.sign_in is not None and path in SIGN_IN_PATHS)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        who = self._callers.who(headers)
        if isinstance(who, Stranger):
            await answer(self._turned_away(who, scope, headers), scope, receive, send)
            return
        refusal = self._refusal(who, scope, headers)
        if refusal:
            await refuse(refusal, scope, receive, send)
            return
        if way := _way_on(who, scope, headers):
            await answer(way, scope, receive, send)
            return
        scope.setdefault("state", {})["visitor"] = who
        watch = Watch(self._callers, who, headers)
        told = _unnamed(scope, who)
        if scope["type"] == "websocket":
            await self._app(told, watch.received(receive, send), watch.sent(send))
        else:
            await self._app(told, receive, watch.streamed(send))

    def _refusal(self, who: Visitor, scope: Scope, headers: Headers) -> Refusal | None:
        """Why one who may come in is not answered now."""
        if self._is_forged(who, scope, headers):
            return Refusal(403, _FORGED)
        if is_for_programs(scope["path"]) and (wait := self._rates.wait_of(who)):
            said = f"Too many calls; wait {wait} s."
            return Refusal(429, said, {"Retry-After": str(wait)})
        return None

    def _is_forged(self, who: Visitor, scope: Scope, headers: Headers) -> bool:
        """Whether another site's page may have a browser send this, with what it has of ours."""
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if not changes or bearer(headers) is not None:  # which no browser sends by itself
            return False
        origin = headers.get("origin")
        if who.by == "open" and origin in self._origins and is_for_programs(scope["path"]):
            return False
        if origin is not None:
            return not is_same_origin(origin, headers.get("host", ""))
        return headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}

    def _turned_away(self, who: Stranger, scope: Scope, headers: Headers) -> Response:
        path = scope["path"]
        if who.trouble:
            return Refusal(503, _TROUBLE).response(path)
        if who.wrong and (wait := self._rates.wait_after_failure(_address(scope))):
            return _too_many(wait).response(path)
        if _is_page(scope, headers):
            if who.account:
                return not_allowed(who.account)
            query = scope.get("query_string", b"").decode("latin-1")
            return self._way_in(back=f"{path}?{query}" if query else path)
        if who.account:
            return Refusal(403, "This account may not come in here.").response(path)
        said = _WRONG if who.wrong else _NO_KEY
        return Refusal(401, said, {"WWW-Authenticate": "Bearer"}).response(path)

    def _way_in(self, *, back: str = "/", wrong: str = "", status: int = 401) -> Response:
        sign_in = self._callers.sign_in
        return way_in(
            sign_in.providers if sign_in else (),
            takes_keys=self._callers.takes_keys(),
            back=back,
            wrong=wrong,
            status=status,
        )

    async def _go(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at one of the ways in and out."""
        request = Request(scope, receive)
        if request.url.path == "/enter" and request.method == "POST":
            response = await self._enter(request)
        elif request.method not in {"GET", "HEAD"}:
            response = Refusal(405, "Nothing is taken here.").response(scope["path"])
        elif scope["path"] == "/sign-in":
            response = self._sign_in(
                *map(request.query_params.get, ("provider", "next"), ("", "/"))
            )
        else:
            response = RedirectResponse("/", 303)
            if scope["path"] == "/leave":
                end(response)
        await answer(response, scope, receive, send)

    def _sign_in(self, provider: str, way: str) -> Response:
        sign_in = self._callers.sign_in
        if sign_in is None or provider not in sign_in.providers:
            return RedirectResponse("/", 303)
        response = _redirect(sign_in.login_path(provider))
        if inside(way) != "/":  # where Streamlit's sign-in leads by itself
            remember_way(response, way)
        return response

    async def _enter(self, request: Request) -> Response:
        """Take the key of the form."""
        origin = request.headers.get("origin")
        if origin is not None and not is_same_origin(origin, request.headers.get("host", "")):
            return Refusal(403, _FORGED).response("/enter")
        try:
            async with asyncio.timeout(_FORM_S):
                form = parse_qs(await _small_body(request))
        except TimeoutError:
            return Refusal(408, "The key did not come in time.").response("/enter")
        token, back = (form.get(name, [""])[0] for name in ("key", "next"))
        response = _redirect(inside(back))
        is_secure = request.url.scheme == "https"
        try:
            if self._callers.sessions.begin(response, token.strip(), is_secure=is_secure):
                return response
        except InvalidInput as error:
            _LOG.error("nobody can come in with a key: %s", error)
            return Refusal(503, _TROUBLE).response("/enter")
        if wait := self._rates.wait_after_failure(_address(request.scope)):
            return _too_many(wait).response("/enter")
        return self._way_in(back=back, wrong="That is none of the keys of this server.")


_WAYS = frozenset({"/enter", "/leave", "/sign-in"})
_FORGED = (
    "Another site's page sent this. Call from this server's own pages, or with a key; a proxy "
    "in front must pass the Host header on."
)
_TROUBLE = "Nobody can come in just now; the one who runs this server finds why in its log."
_WRONG = "That is none of the keys of this server; it may have ended or been revoked."
_NO_KEY = "Give a key: Authorization: Bearer mrag_... (mrag keys add NAME --role read)."


def _too_many(wait: int) -> Refusal:
    said = f"Too many wrong keys came from your address; wait {wait} s."
    return Refusal(429, said, {"Retry-After": str(wait)})


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a person's browser asks, to show what it gets."""
    if scope["type"] != "http" or is_for_programs(scope["path"]):
        return False
    return scope["method"] in {"GET", "HEAD"} and "text/html" in headers.get("accept", "")


def _way_on(who: Visitor, scope: Scope, headers: Headers) -> Response | None:
    """Where one was going before signing in."""
    if who.by != "sign-in" or scope["path"] != "/" or not _is_page(scope, headers):
        return None
    way = cookie_parser(headers.get("cookie", "")).get(WAY)
    if way is None:
        return None
    response = _redirect(inside(unquote(way)))
    forget_way(response)
    return response


def _redirect(path: str) -> Response:
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})


def _unnamed(scope: Scope, who: Visitor | None = None) -> Scope:
    """The scope with the visitor's header, and never with one that was sent."""
    headers = [pair for pair in scope["headers"] if pair[0].lower() != VISITOR_HEADER]
    if who:
        headers.append((VISITOR_HEADER, json.dumps(asdict(who)).encode("ascii")))
    return {**scope, "headers": headers}


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _small_body(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            return ""
    return body.decode("utf-8", "replace")
