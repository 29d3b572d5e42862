"""Describing pictures, and comparing what is nearest to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.document import errors, form
from api.fields import read_fields
from api.parts import Asking, Reader
from api.problems import InvalidFields
from api.shapes import Captions, Comparisons
from api.uploads import Form, form_of, pictures_of, video_of
from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.models import (
    MOST_HITS,
    CaptionOptions,
    ComparisonAnswer,
    Description,
    Failure,
    OutlineAnswer,
    OutlineOptions,
)
from service.takeaway.subtitles import WRITTEN

router = APIRouter(prefix="/v1", tags=["describe"])

_COLLECTION = {"type": "string", "description": "Empty: the server's, or the only one."}
_SOURCE = {"type": "string", "description": "A file of this machine, to who owns it alone."}
OutlineFormat = Literal["json", "vtt", "srt"]
_IDS = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Pictures of the collection, whose files need not be there any more.",
}
_BOTH = {"id": _IDS, "collection": _COLLECTION}
_ERRORS = errors(400, 404, 409, 413, 415)
Named = Annotated[str, Query(description="The collection; or a field of the form.")]


class CompareOptions(BaseModel):
    """How many captions are compared on each side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: Annotated[int, Field(ge=1, le=MOST_HITS, description="Captions of each side.")] = 5


@router.post(
    "/caption",
    response_model=Captions,
    responses=_ERRORS,
    openapi_extra=form(
        CaptionOptions,
        files=("image*",),
        fields=_BOTH,
        example={"id": ["6c1f1e0e-5b1c-5e5a-9d0e-0f0f0f0f0f0f"], "candidates": 4},
    ),
)
async def caption(request: Request, asking: Reader, collection: Named = "") -> Captions:
    """Describe pictures: files that are sent, or pictures of the collection by their ids.

    A picture that cannot be described has an `error` in its place, the others are answered.
    """
    async with form_of(request, asking.settings) as sent:
        options = read_fields(CaptionOptions, sent.without("id", "collection"))
        async with pictures_of(sent, asking.settings) as files:
            images = _given(sent, files)
            results = await asking.run(
                lambda: list(
                    asking.answers.caption(images, options, collection=_named(sent, collection))
                )
            )
    _note(asking, results)
    return Captions(results=results)


@router.post(
    "/compare",
    response_model=Comparisons,
    responses=_ERRORS,
    openapi_extra=form(CompareOptions, files=("image*",), fields=_BOTH),
)
async def compare(request: Request, asking: Reader, collection: Named = "") -> Comparisons:
    """The captions nearest to each picture: plain CLIP beside the map across the gap."""
    async with form_of(request, asking.settings) as sent:
        options = read_fields(CompareOptions, sent.without("id", "collection"))
        async with pictures_of(sent, asking.settings) as files:
            images = _given(sent, files)
            results = await asking.run(
                lambda: list(
                    asking.answers.compare(images, options.k, collection=_named(sent, collection))
                )
            )
    _note(asking, results)
    return Comparisons(results=results)


@router.post(
    "/outline",
    response_model=OutlineAnswer,
    responses={
        200: {
            "description": "The shots; as subtitles where `format` says so, of which the header "
            "X-Next-Start tells where to go on.",
            "content": {"text/vtt": {}, "application/x-subrip": {}},
        },
        **_ERRORS,
    },
    openapi_extra=form(
        OutlineOptions,
        files=("video",),
        fields={"collection": _COLLECTION, "source": _SOURCE},
        example={"shots": 20},
    ),
)
async def outline(
    request: Request,
    asking: Reader,
    collection: Named = "",
    format: Annotated[OutlineFormat, Query(description="How it is written.")] = "json",  # noqa: A002
) -> Any:
    """What is seen in a video, shot by shot; `next` says where to go on."""
    async with form_of(request, asking.settings) as sent:
        options = read_fields(OutlineOptions, sent.without("collection", "source"))
        async with video_of(sent) as sent_video:
            video = _video(asking, sent, sent_video)
            named = _named(sent, collection)
            told = await asking.run(asking.answers.outline, video, options, collection=named)
    if format == "json":
        return told
    written, kind = WRITTEN[format]
    goes_on = {} if told.next is None else {"X-Next-Start": f"{told.next:.3f}"}
    return Response(written([told]), media_type=kind, headers=goes_on)


def _video(asking: Asking, sent: Form, uploaded: NamedPicture | None) -> NamedPicture:
    """The video that is meant: one that is sent, or to who owns this machine a file of it."""
    source = sent.all("source")
    if (uploaded is None) == (not source):
        raise InvalidFields("send one video: a file as `video`")
    if uploaded is not None:
        return uploaded
    path = Path(source[0])
    if asking.visitor.by != "home" or "\0" in source[0] or not path.is_absolute():
        raise InvalidFields("source names no file that may be read; send it as `video`")
    return NamedPicture(path.name, path)


def _given(sent: Form, files: list[NamedPicture]) -> list[GivenPicture]:
    images: list[GivenPicture] = [*files, *map(StoredPicture, sent.all("id"))]
    if not images:
        raise InvalidFields("no picture is given; send files as `image`, or ids as `id`")
    return images


def _named(sent: Form, collection: str) -> str:
    return sent.one("collection") or collection


def _note(asking: Asking, results: Iterable[Description | ComparisonAnswer | Failure]) -> None:
    for one in results:
        if isinstance(one, Failure):
            asking.note_failure()
        else:
            asking.note(one.timings_ms)
