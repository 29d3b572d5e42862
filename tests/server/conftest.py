"""A small app behind the whole guard, and what it was given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import config
from streamlit.runtime import Runtime
from streamlit.runtime.secrets import secrets_singleton

from engine.settings import read_settings
from server.guard import guard
from service.access.keys import KeyRing
from service.access.visitor import Role

AT = "http://127.0.0.1:8501"
SECRET = "a secret of more than thirty-two characters"
HOME_TOKEN = "the token of this home"

AUTH = {
    "redirect_uri": f"{AT}/oauth2callback",
    "cookie_secret": SECRET,
    "client_id": "mrag",
    "client_secret": "known to the provider",
    "server_metadata_url": "http://127.0.0.1:9/.well-known/openid-configuration",
}


@dataclass
class Seen:
    """What reached the app."""

    paths: list[str] = field(default_factory=list)
    bytes_read: int = 0


def small_app(seen: Seen, middleware: list[Any]) -> Starlette:
    """Tells who its visitor is, reads bodies, echoes through a websocket, sends events."""

    async def told(request: Request) -> Response:
        seen.paths.append(request.url.path)
        async for part in request.stream():
            seen.bytes_read += len(part)
        visitor = request.scope.get("state", {}).get("visitor")
        return JSONResponse(
            {
                "name": visitor and visitor.name,
                "role": visitor and visitor.role,
                "by": visitor and visitor.by,
                "header": request.headers.get("x-mrag-visitor"),
                "read": seen.bytes_read,
            }
        )

    async def echo(websocket: WebSocket) -> None:
        seen.paths.append(websocket.url.path)
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            pass

    async def events(_request: Request) -> Response:
        async def sent() -> Any:
            for number in range(1_000):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(sent(), media_type="text/event-stream")

    async def page(request: Request) -> Response:
        seen.paths.append(request.url.path)
        return PlainTextResponse("a page of the app")

    every = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(
        routes=[
            Route("/api/v1/events", events),
            Route("/api/{path:path}", told, methods=every),
            Route("/_stcore/upload_file/{path:path}", told, methods=every),
            WebSocketRoute("/_stcore/stream", echo),
            Route("/{path:path}", page, methods=every),
        ],
        middleware=middleware,
    )


@dataclass
class Guarded:
    """The app behind its guard: a browser or a program (`client`), and its keys."""

    client: TestClient
    ring: KeyRing
    seen: Seen

    def key(self, role: Role = "read", name: str = "bot") -> dict[str, str]:
        """The header of a new key."""
        return {"Authorization": f"Bearer {self.ring.add(name, role)}"}


MakeGuarded = Callable[..., Guarded]


Configure = Callable[[Mapping[str, str] | None], None]


@pytest.fixture
def signed_by(tmp_path: Path) -> Iterator[Configure]:
    """Configures Streamlit's sign-in, by a file of secrets; None: there is none."""
    files = config.get_option("secrets.files")

    def configure(auth: Mapping[str, str] | None) -> None:
        path = tmp_path / "secrets.toml"
        if auth:
            lines = (f"{name} = {json.dumps(value)}" for name, value in auth.items())
            path.write_text("[auth]\n" + "\n".join(lines))
        config.set_option("secrets.files", [str(path)])
        secrets_singleton._reset()

    yield configure
    config.set_option("secrets.files", files)
    secrets_singleton._reset()


@pytest.fixture
def guarded(tmp_path: Path, signed_by: Configure) -> MakeGuarded:
    """Makes the small app behind a guard with these settings."""

    def made(
        *, at: str = AT, address: str = "127.0.0.1", auth: Mapping[str, str] | None = None,
        keys: bool = False, **settings: Any,
    ) -> Guarded:  # fmt: skip
        signed_by(auth)
        ring = KeyRing(tmp_path)
        if keys:
            ring.add("first", "admin")
        given = read_settings({"home": tmp_path, **settings})
        seen = Seen()
        stack = guard(given, address=address, home_token=lambda: HOME_TOKEN)
        client = TestClient(small_app(seen, stack), base_url=at, follow_redirects=False)
        return Guarded(client, ring, seen)

    return made


@pytest.fixture
def streamlit_as_it_was() -> Iterator[None]:
    """Takes a server apart that was built in this process: its options, runtime and engine."""
    before = {name: config.get_option(name) for name in config._config_options_template}
    main = config._main_script_path
    yield
    Runtime._instance = None
    st.cache_resource.clear()
    config._main_script_path = main
    for name, value in before.items():
        if config.get_option(name) != value:
            config.set_option(name, value)
