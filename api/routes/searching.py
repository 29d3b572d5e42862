"""Finding pictures."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.document import errors, form
from api.fields import Pairs, parameters, read_fields
from api.parts import Asking, Reader
from api.problems import InvalidFields, NotFound
from api.routes.describing import Named
from api.shapes import Searches
from api.uploads import form_of, pictures_of
from engine.errors import InvalidInput
from mrag_client.answers import NamedPicture
from mrag_client.models import (
    DuplicateOptions,
    DuplicatesAnswer,
    FacetsAnswer,
    SearchAnswer,
    SearchOptions,
)
from service.answering import stored_picture

router = APIRouter(prefix="/v1", tags=["search"])

_EXAMPLE = {"text": "two dogs on a beach", "minus": ["night"], "space": ["mapped", "raw"], "k": 5}


@router.get(
    "/search",
    response_model=Searches,
    responses=errors(404, 409),
    openapi_extra={"parameters": parameters(SearchOptions, example=_EXAMPLE)},
)
async def search(request: Request, asking: Reader, collection: Named = "") -> Searches:
    """Find pictures by words, or like some of the collection and not others (`like`, `unlike`)."""
    return await _found(asking, _query(request), None, collection)


@router.post(
    "/search",
    response_model=Searches,
    responses=errors(400, 404, 409, 413, 415),
    openapi_extra=form(
        SearchOptions,
        files=("image",),
        fields={"collection": {"type": "string"}},
        example=_EXAMPLE,
    ),
)
async def search_by_picture(request: Request, asking: Reader, collection: Named = "") -> Searches:
    """Find pictures like one that is sent, with words or without."""
    async with form_of(request, asking.settings) as sent:
        fields = sent.without("collection")
        async with pictures_of(sent, asking.settings) as files:
            if len(files) > 1:
                raise InvalidFields(f"{len(files)} pictures are sent; a search takes one")
            named = sent.one("collection") or collection
            return await _found(asking, fields, next(iter(files), None), named)


@router.get(
    "/facets",
    response_model=FacetsAnswer,
    responses=errors(404, 409),
    openapi_extra={"parameters": parameters(SearchOptions)},
)
async def facets(request: Request, asking: Reader, collection: Named = "") -> FacetsAnswer:
    """What pictures can be filtered by, with counts: those that satisfy the search's filters.

    What the search looks for does not matter to them, nor do its other fields.
    """
    options = read_fields(SearchOptions, _query(request))
    return await asking.run(partial(asking.answers.facets, collection=collection), options)


@router.get(
    "/similar",
    response_model=Searches,
    responses=errors(404, 409),
    openapi_extra={"parameters": parameters(SearchOptions)},
)
async def similar(
    request: Request,
    asking: Reader,
    key: Annotated[str, Query(alias="id", max_length=64, description="Of the collection.")],
    collection: Named = "",
) -> Searches:
    """Find pictures like one of the collection, which is itself left out."""
    options = read_fields(SearchOptions, [("like", key), *_query(request, "id")])
    return _told(asking, await asking.run(_similar, asking, options, collection))


@router.get(
    "/duplicates",
    response_model=DuplicatesAnswer,
    responses=errors(404, 409),
    openapi_extra={"parameters": parameters(DuplicateOptions, example={"kind": "near", "k": 20})},
)
async def duplicates(request: Request, asking: Reader, collection: Named = "") -> DuplicatesAnswer:
    """Find what a collection holds more than once; ask again while `waiting` is not 0."""
    options = read_fields(DuplicateOptions, _query(request))
    return await asking.run(asking.answers.duplicates, options, collection=collection)


def _similar(asking: Asking, options: SearchOptions, collection: str) -> list[SearchAnswer]:
    opened = asking.parts.engine.open(collection)
    try:
        stored_picture(opened, options.likes[0])
    except InvalidInput as error:
        raise NotFound(str(error)) from error
    return asking.answers.search(options, collection=collection)


async def _found(
    asking: Asking, fields: Pairs, image: NamedPicture | None, collection: str
) -> Searches:
    options = read_fields(SearchOptions, fields)
    search = partial(asking.answers.search, image=image, collection=collection)
    return _told(asking, await asking.run(search, options))


def _told(asking: Asking, results: list[SearchAnswer]) -> Searches:
    for one in results:
        asking.note(one.timings_ms)
    return Searches(results=results)


def _query(request: Request, *without: str) -> Iterable[tuple[str, str]]:
    pairs = request.query_params.multi_items()
    return [(name, value) for name, value in pairs if name not in {"collection", *without}]
