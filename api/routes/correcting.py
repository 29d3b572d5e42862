"""What owners say of their pictures, and what their collections have learned from it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.document import errors, form
from api.fields import read_fields
from api.parts import Reader, Writer
from api.routes.collections import folder_of, stored
from api.routes.describing import Named
from api.uploads import form_of
from mrag_client.models import CorrectionOptions, CorrectionsAnswer, LearnedAnswer, NamedAnswer
from service.correcting import picture_named

router = APIRouter(prefix="/v1", tags=["corrections"])

_PLACE = "/collections/{name}/pictures/{key}/corrections"
_EXAMPLE = {"text": "Two herons on a jetty at low tide."}


@router.get(_PLACE, response_model=CorrectionsAnswer, responses=errors(404, 409))
async def corrections(name: str, key: str, asking: Reader) -> CorrectionsAnswer:
    """All that was said of a picture, the latest first."""
    await asking.run(stored, asking, name, key)
    return await asking.run(partial(asking.answers.corrections, key, collection=name))


@router.post(
    _PLACE,
    response_model=CorrectionsAnswer,
    responses=errors(400, 404, 409, 413, 415),
    openapi_extra=form(CorrectionOptions, example=_EXAMPLE),
)
async def correct(request: Request, name: str, key: str, asking: Writer) -> CorrectionsAnswer:
    """Say what a picture shows; it is on disk when the answer comes, learned from after that."""
    async with form_of(request, asking.settings) as sent:
        options = read_fields(CorrectionOptions, sent.without())
    await asking.run(stored, asking, name, key)
    return await asking.run(partial(asking.answers.correct, key, options, collection=name))


@router.delete(_PLACE, response_model=CorrectionsAnswer, responses=errors(404, 409))
async def undo(name: str, key: str, asking: Writer) -> CorrectionsAnswer:
    """Take the last correction of a picture back; the history keeps both."""
    await asking.run(stored, asking, name, key)
    return await asking.run(partial(asking.answers.undo_correction, key, collection=name))


@router.get("/named", response_model=NamedAnswer, responses=errors(404, 409))
async def named(
    asking: Reader,
    picture: Annotated[str, Query(max_length=4096, description="An id, a path, or a name.")],
    collection: Named = "",
) -> NamedAnswer:
    """The picture that is meant by an id, by the path of its file, or by its source's name."""

    def found() -> NamedAnswer:
        opened = asking.parts.engine.open(collection)
        hit = picture_named(opened, picture)
        return NamedAnswer(id=hit.id, collection=opened.card.name)

    if collection:
        folder_of(asking, collection)
    return await asking.run(found)


@router.get("/learned", response_model=LearnedAnswer, responses=errors(404, 409))
async def learned(
    asking: Reader,
    collection: Named = "",
    look: Annotated[
        bool, Query(description="See which other descriptions would differ, in the background.")
    ] = False,
) -> LearnedAnswer:
    """What a collection has learned from corrections, and what it is doing about them."""
    return await asking.run(partial(asking.answers.learned, look=look, collection=collection))


@router.post("/learned/describe", response_model=LearnedAnswer, responses=errors(404, 409))
async def describe_differing(asking: Writer, collection: Named = "") -> LearnedAnswer:
    """Describe those pictures again whose descriptions would differ, in the background."""
    return await asking.run(partial(asking.answers.describe_differing, collection=collection))
