"""Ends what stays open once its visitor may not come in any more: a revoked key is out at once."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Send

from server.callers import Callers
from service.access.visitor import Visitor

_POLICY_VIOLATION = 1008


class Watch:
    """Looks at each message of a websocket, or part of a stream of events, who sends it now."""

    def __init__(self, callers: Callers, who: Visitor, headers: Headers) -> None:
        self._callers, self._who, self._headers = callers, who, headers
        self._over = self._is_stream = False

    def _ends(self) -> bool:
        """Whether it ends with this message."""
        if self._over or self._callers.who(self._headers) == self._who:
            return False
        self._over = True
        return True

    def received(self, receive: Receive, send: Send) -> Receive:
        """What comes through a websocket, while it may."""

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and self._ends():
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            if message["type"] == "websocket.receive" and self._over:
                return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
            return message

        return watched

    def sent(self, send: Send) -> Send:
        """What goes through a websocket, while it may; then its end."""

        async def watched(message: Message) -> None:
            if message["type"] == "websocket.send" and self._ends():
                message = {"type": "websocket.close", "code": _POLICY_VIOLATION}
            elif self._over and message["type"] == "websocket.send":
                return
            await send(message)

        return watched

    def streamed(self, send: Send) -> Send:
        """An answer that is a stream of events, while it may go on; any other one whole."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                kind = Headers(scope=message).get("content-type", "")
                self._is_stream = kind.startswith("text/event-stream")
            elif self._over:
                return
            elif self._is_stream and self._ends():
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return watched
