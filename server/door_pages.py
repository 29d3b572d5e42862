"""The pages before the app: how to come in, and why somebody may not. They need no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment
from starlette.responses import HTMLResponse

from engine.legible import legible

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_INSIDE = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_PAGE = Environment(autoescape=True, trim_blocks=True).from_string(
    (Path(__file__).parent / "door.html").read_text(encoding="utf-8")
)


def way_in(
    providers: Sequence[str],
    *,
    takes_keys: bool,
    back: str = "/",
    wrong: str = "",
    status: int = 401,
) -> HTMLResponse:
    """Where somebody signs in or gives a key; `wrong` is what was with the last try."""
    if not (providers or takes_keys):
        return _page(
            "Closed", "Nobody comes in here: the one who runs this server has to make a key.", 403
        )
    ways = " or ".join(
        ["sign in"] * bool(providers) + ["give the key that you were given"] * takes_keys
    )
    said = f"{ways[0].upper()}{ways[1:]} to describe and find pictures."
    return _page(
        "mRAG",
        said,
        status,
        providers=list(providers),
        takes_keys=takes_keys,
        next=inside(back),
        wrong=wrong,
    )


def not_allowed(account: str) -> HTMLResponse:
    """For somebody who signed in and is on no list."""
    said = (
        f"You are signed in as {legible(account)[:200]}, which may not come in here. Ask the one "
        "who runs this server, or sign out and take another account."
    )
    return _page("Not for this account", said, 403, sign_out=True)


def inside(path: str) -> str:
    """The path, where it lies in this app; its first page otherwise."""
    return path if _INSIDE.fullmatch(path) else "/"


def _page(title: str, said: str, status: int, **more: object) -> HTMLResponse:
    return HTMLResponse(
        _PAGE.render(title=title, said=said, **more),
        status,
        {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"},
    )
