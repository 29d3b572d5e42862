"""What every answer tells a browser: what a page may load, and that nobody may frame it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.file_util import get_static_dir

from server.refusals import is_for_programs

PAGES = (
    "default-src 'self'; "
    # Our elements' scripts come from the memory of the browser. Nothing else runs but files of
    # this server and what stands in Streamlit's own page.
    "script-src 'self' {scripts} blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' {sockets} data: blob:; worker-src 'self' blob:; frame-src 'none'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
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
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """Adds them where an answer does not say otherwise itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._scripts = " ".join(_scripts_in(Path(get_static_dir()) / "index.html"))

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
                headers.setdefault("Content-Security-Policy", self._policy(scope))
            await send(message)

        await self._app(scope, receive, with_headers)

    def _policy(self, scope: Scope) -> str:
        path = scope["path"]
        if path.startswith("/media/"):
            return FILES
        if is_for_programs(path):
            return NOTHING
        host = Headers(scope=scope).get("host", "")
        return PAGES.format(scripts=self._scripts, sockets=f"ws://{host} wss://{host}")


def _scripts_in(page: Path) -> list[str]:
    """The scripts that stand in a page, as a policy names them."""
    found = _SCRIPT.findall(page.read_text(encoding="utf-8"))
    digests = (sha256(script.encode()).digest() for script in found)
    return [f"'sha256-{b64encode(digest).decode()}'" for digest in digests]
