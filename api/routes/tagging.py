"""Labels that pictures are given from a list, and the taggings that gave them."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request

from api.document import errors, form
from api.fields import read_fields
from api.parts import Reader, Writer
from api.routes.collections import folder_of
from api.routes.describing import Named
from api.uploads import form_of
from mrag_client.models import (
    LabelledAnswer,
    LabelledOptions,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
)

router = APIRouter(prefix="/v1/tags", tags=["tags"])

_EXAMPLE = {"name": "animals", "labels": "dog = dog, puppy\ncat\nhorse", "dry_run": True}


@router.get("", response_model=TaggingsAnswer, responses=errors(404, 409))
async def taggings(asking: Reader, collection: Named = "") -> TaggingsAnswer:
    """The taggings of a collection; search for what they gave with label: in a search."""
    if collection:
        folder_of(asking, collection)
    return await asking.run(partial(asking.answers.taggings, collection=collection))


@router.post(
    "",
    response_model=TagsAnswer,
    responses=errors(400, 404, 409, 413, 415),
    openapi_extra=form(TagOptions, example=_EXAMPLE),
)
async def tag(request: Request, asking: Writer, collection: Named = "") -> TagsAnswer:
    """Give pictures labels of a list, or with `dry_run` say which they would get.

    The tagging is on disk when the answer comes; a large index shows it a little later.
    """
    async with form_of(request, asking.settings) as sent:
        options = read_fields(TagOptions, sent.without())
    if collection:
        folder_of(asking, collection)
    return await asking.run(partial(asking.answers.tag, options, collection=collection))


@router.post(
    "/pictures",
    response_model=LabelledAnswer,
    responses=errors(400, 404, 409, 413, 415),
    openapi_extra=form(LabelledOptions, example={"name": "animals", "k": 1_000}),
)
async def labelled(request: Request, asking: Reader, collection: Named = "") -> LabelledAnswer:
    """All pictures that a tagging gives labels, page by page, with the chances of these.

    Without labels and examples it is the tagging of that name that stands; nothing is written.
    """
    async with form_of(request, asking.settings) as sent:
        options = read_fields(LabelledOptions, sent.without())
    if collection:
        folder_of(asking, collection)
    return await asking.run(partial(asking.answers.labelled, options, collection=collection))


@router.delete("/{tagging}", response_model=TaggingsAnswer, responses=errors(400, 404, 409))
async def untag(tagging: str, asking: Writer, collection: Named = "") -> TaggingsAnswer:
    """Take a tagging back: its labels go, but those that another one gives, too."""
    if collection:
        folder_of(asking, collection)
    return await asking.run(partial(asking.answers.untag, tagging, collection=collection))
