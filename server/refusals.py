"""How a request is turned away: a problem for programs, plain words for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from api.problems import problem

_PROGRAMS = ("/api", "/mcp", "/metrics")
_POLICY_VIOLATION = 1008


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered, in words that name the remedy."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, path: str) -> Response:
        """What is answered at this path."""
        headers = {"Cache-Control": "no-store", **self.headers}
        if not is_for_programs(path):
            return PlainTextResponse(self.detail + "\n", self.status, headers)
        return problem(self.status, self.detail, path, headers=headers)


def is_for_programs(path: str) -> bool:
    """Whether programs ask here, who read problems, and no page of the app."""
    return path.startswith(tuple(f"{one}/" for one in _PROGRAMS)) or path in _PROGRAMS


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer so; a connection that was to be opened stays closed. The body is not read."""
    await answer(refusal.response(scope["path"]), scope, receive, send)


async def answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or one for a websocket in place of opening it."""
    if scope["type"] == "http":
        if scope["method"] not in {"GET", "HEAD", "OPTIONS"}:
            response.headers["Connection"] = "close"  # so that nobody sends what nobody reads
        await response(scope, receive, send)
        return
    websocket = WebSocket(scope, receive, send)
    if "websocket.http.response" in scope.get("extensions", {}):
        await websocket.send_denial_response(response)
    else:
        await websocket.close(_POLICY_VIOLATION)
