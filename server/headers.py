"""What every answer tells a browser: what a page may load, and that nobody may frame it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.refusals import is_for_programs

PAGES = (
    "default-src 'self'; "
    # Streamlit compiles formulae of charts, has a script in its page, and loads our elements'
    # scripts from the memory of the browser.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' {sockets} data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""For the app's pages: `{sockets}` is where their websocket is."""

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For what is data and no page."""

FILES = f"sandbox; {NOTHING}"
"""For files that somebody uploaded: were one a page, it would be nobody's."""

_ALL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), clipboard-read=(self), clipboard-write=(self), "
    "fullscreen=(self), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DOCS = "/api/docs"
_DOCS_SCRIPTS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds them where an answer does not say otherwise itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                for name, value in _ALL.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _policy(scope))
            await send(message)

        await self._app(scope, receive, with_headers)


def _policy(scope: Scope) -> str:
    path = scope["path"]
    if path.startswith(_DOCS):
        return _DOCS_SCRIPTS
    if path.startswith("/media/"):
        return FILES
    if is_for_programs(path):
        return NOTHING
    host = next(
        (value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), ""
    )
    return PAGES.format(sockets=f"ws://{host} wss://{host}")
