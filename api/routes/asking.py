"""Answering questions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from api.document import errors, form
from api.events import STREAM, Events, begun
from api.fields import read_fields
from api.parts import Asking, Reader
from api.routes.describing import Named
from api.uploads import form_of, pictures_of
from mrag_client.answers import GivenPicture, StoredPicture
from mrag_client.models import AskAnswer, AskOptions

router = APIRouter(prefix="/v1", tags=["ask"])

_FIELDS = {
    "id": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Pictures of the collection that the question is about.",
    },
    "collection": {"type": "string", "description": "Empty: the server's, or the only one."},
}


_ERRORS = errors(400, 404, 409, 413, 415)
_FORM = form(
    AskOptions,
    files=("image*",),
    fields=_FIELDS,
    example={"question": "how many pictures show two dogs on a beach?"},
)


@router.post("/ask", response_model=AskAnswer, responses=_ERRORS, openapi_extra=_FORM)
async def ask(request: Request, asking: Reader, collection: Named = "") -> AskAnswer:
    """Answer a question: about the collection, or about pictures that are sent or named by id.

    Counts and lists over a collection are its index's; everything else is answered from captions,
    by rules or by a model, and held against them. `pictures` are those that the answer cites by
    number, and then what else was looked at.
    """
    async with _sent(request, asking, collection) as (options, images, named):
        answered = partial(asking.answers.ask, images=images, collection=named)
        answer = await asking.run(answered, options)
    asking.note(answer.timings_ms)
    return answer


@router.post(
    "/ask/events",
    response_class=StreamingResponse,
    responses={200: STREAM, **_ERRORS},
    openapi_extra=_FORM,
)
async def ask_events(request: Request, asking: Reader, collection: Named = "") -> Events:
    """Answer a question as `/ask` does, and tell what is done for it while it is done.

    What a model writes comes piece by piece, before it is held against the captions: the `answer`
    is what counts.
    """
    async with AsyncExitStack() as held:
        sent = _sent(request, asking, collection)
        options, images, named = await held.enter_async_context(sent)
        coming = asking.stream(
            partial(asking.answers.ask_events, options, images=images, collection=named)
        )
        held.push_async_callback(coming.aclose)
        return Events(asking, await begun(coming), held.pop_all())


@asynccontextmanager
async def _sent(
    request: Request, asking: Asking, collection: str
) -> AsyncIterator[tuple[AskOptions, list[GivenPicture], str]]:
    """What is asked, about which pictures, and of which collection."""
    async with form_of(request, asking.settings) as sent:
        options = read_fields(AskOptions, sent.without("id", "collection"))
        async with pictures_of(sent, asking.settings) as files:
            images: list[GivenPicture] = [*files, *map(StoredPicture, sent.all("id"))]
            yield options, images, sent.one("collection") or collection
