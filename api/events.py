"""Answers that are sent while they are made, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.parts import Asking
from api.problems import ClientGone, hider, problem_response
from mrag_client.models import AskEvent

EVENTS = {
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "required": ["event", "data"],
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        }
    }
}
"""Each event by itself, as OpenAPI 3.2 has it; readers of 3.1 pass over it."""

STREAM = {
    "description": "Server-sent events: `searched` with what is searched, `text` with each piece "
    "of what a model writes, `answer` at last; the data is an AskEvent. Or `problem` at last, with "
    "a Problem. Comments come where nothing else does.",
    "content": EVENTS,
}
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""What lies between must neither keep events nor gather them."""

_STILL_HERE = ": still here\n\n"


class Events(StreamingResponse):
    """Events as they come; `held` is let go of at the end."""

    def __init__(
        self, asking: Asking, coming: AsyncIterator[AskEvent | None], held: AsyncExitStack
    ) -> None:
        sent = _sent(asking, coming)
        super().__init__(sent, media_type="text/event-stream", headers=_HEADERS)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, and let go of what they needed, whether somebody has read them or not."""
        async with self._held:
            await super().__call__(scope, receive, send)


async def begun(coming: AsyncIterator[AskEvent | None]) -> AsyncIterator[AskEvent | None]:
    """The same events once the first is there: what goes wrong before it is raised.

    What goes wrong later is an event, too, as the status has been sent by then.
    """
    first = None
    while first is None:
        first = await anext(coming)

    async def all_of_them() -> AsyncIterator[AskEvent | None]:
        yield first
        async for one in coming:
            yield one

    return all_of_them()


async def _sent(asking: Asking, coming: AsyncIterator[AskEvent | None]) -> AsyncIterator[str]:
    try:
        async for one in coming:
            if one is None:
                yield _STILL_HERE
                continue
            if one.answer is not None:
                asking.note(one.answer.timings_ms)
            yield _event(one.event, one.model_dump_json())
    except ClientGone:
        return
    except Exception as error:  # whatever it is, told as the API tells errors
        hide = None if asking.knows_paths else hider(asking.settings)
        problem = bytes(problem_response(asking.request, error, hide).body)
        yield _event("problem", problem.decode())


def _event(name: str, data: str) -> str:
    """One event; its JSON has no line ends."""
    return f"event: {name}\ndata: {data}\n\n"
