"""Answering questions."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request

from api.document import errors, form
from api.fields import read_fields
from api.parts import Reader
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


@router.post(
    "/ask",
    response_model=AskAnswer,
    responses=errors(400, 404, 409, 413, 415),
    openapi_extra=form(
        AskOptions,
        files=("image*",),
        fields=_FIELDS,
        example={"question": "how many pictures show two dogs on a beach?"},
    ),
)
async def ask(request: Request, asking: Reader, collection: Named = "") -> AskAnswer:
    """Answer a question: about the collection, or about pictures that are sent or named by id.

    Counts and lists over a collection are its index's; everything else is answered from captions,
    by rules or by a model, and held against them. `pictures` are those that the answer cites by
    number, and then what else was looked at.
    """
    async with form_of(request, asking.settings) as sent:
        options = read_fields(AskOptions, sent.without("id", "collection"))
        async with pictures_of(sent, asking.settings) as files:
            images: list[GivenPicture] = [*files, *map(StoredPicture, sent.all("id"))]
            named = sent.one("collection") or collection
            answered = partial(asking.answers.ask, images=images, collection=named)
            answer = await asking.run(answered, options)
    asking.note(answer.timings_ms)
    return answer
