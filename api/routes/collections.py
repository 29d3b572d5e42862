"""Collections: what there is, how they are made and filled, and how they go."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import partial
from io import BufferedReader
from mimetypes import guess_type
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from api.document import errors, form
from api.fields import parameters, read_fields
from api.parts import Admin, Asking, Reader, Writer
from api.problems import Conflict, InvalidFields, NotFound, TooLarge, WrongType
from api.shapes import Collections
from api.uploads import Form, form_of
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.types import ImageHit
from engine.video.address import Clip
from ingest.jobs.records import Job
from mrag_client.models import (
    CollectionAnswer,
    IngestOptions,
    JobAnswer,
    PictureAnswer,
    SyncOptions,
)
from service.answering import stored_picture
from service.conversion import job_answer, picture_answer

router = APIRouter(prefix="/v1/collections", tags=["collections"])

_SOURCE = {
    "type": "string",
    "description": "A folder or file of the server's machine, inside MRAG_SOURCE_ROOT.",
}
_BEGUN = {
    "description": "The ingest has begun; `Location` says where to ask for it.",
    "headers": {"Location": {"description": "The ingest.", "schema": {"type": "string"}}},
}
_NAMES = {"name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}}


def _filling(fields: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return form(
        IngestOptions,
        files=("archive",),
        fields={**fields, "source": _SOURCE},
        required=required,
        example={**dict.fromkeys(required, "holidays"), "source": "2024/holidays", "limit": 1000},
    )


@router.get("", response_model=Collections, responses=errors())
async def collections(asking: Reader) -> Collections:
    """All collections at a glance."""
    found = await asking.run(asking.answers.collections)
    return Collections(collections=[_hidden(asking, one) for one in found])


@router.post(
    "",
    status_code=202,
    response_model=JobAnswer,
    responses={202: _BEGUN, **errors(400, 404, 409, 413, 415)},
    openapi_extra=_filling(_NAMES, "name"),
)
async def make(request: Request, asking: Writer, response: Response) -> JobAnswer:
    """Make a collection, of a zip that is sent or of a folder, in the background."""
    async with form_of(request, asking.settings) as sent:
        name = sent.one("name")
        if not name:
            raise InvalidFields("name is missing; name the collection that is to be made")
        folder = asking.parts.engine.folder(name)
        if folder.exists() or asking.parts.jobs.active(name):
            raise Conflict(
                f"collection {name!r} is there already, or is being made; add to it with POST "
                f"/api/v1/collections/{name}/ingests"
            )
        return await _begun(asking, name, sent, response)


@router.post(
    "/{name}/ingests",
    status_code=202,
    response_model=JobAnswer,
    responses={202: _BEGUN, **errors(400, 404, 409, 413, 415)},
    openapi_extra=_filling({}),
)
async def add(request: Request, name: str, asking: Writer, response: Response) -> JobAnswer:
    """Add a zip that is sent, or a folder, to a collection, in the background."""
    async with form_of(request, asking.settings) as sent:
        folder_of(asking, name)
        return await _begun(asking, name, sent, response)


@router.post(
    "/{name}/syncs",
    status_code=202,
    response_model=JobAnswer,
    responses={202: _BEGUN, **errors(404, 409)},
    openapi_extra={"parameters": parameters(SyncOptions, example={"dry_run": True})},
)
async def sync(request: Request, name: str, asking: Writer, response: Response) -> JobAnswer:
    """Bring a collection level with the sources that it knows, in the background, or only look."""
    options = read_fields(SyncOptions, request.query_params.multi_items())
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        # What is said there would be overheard, and a sync done that was only to be looked at.
        raise InvalidInput("a sync has no body; its options are in its address: ?dry_run=true")
    folder_of(asking, name)
    job = await asking.run(asking.parts.jobs.start_sync, name, options)
    return _told_of(asking, job, response)


@router.post(
    "/{name}/descriptions",
    status_code=202,
    response_model=JobAnswer,
    responses={202: _BEGUN, **errors(404, 409)},
)
async def describe_again(name: str, asking: Writer, response: Response) -> JobAnswer:
    """Describe pictures again that were described with another map, memory or generator.

    What people wrote stays. It goes on in the background, as an ingest.
    """
    folder_of(asking, name)
    job = await asking.run(asking.parts.jobs.start_again, name)
    return _told_of(asking, job, response)


@router.get("/{name}", response_model=CollectionAnswer, responses=errors(404, 409))
async def collection(name: str, asking: Reader) -> CollectionAnswer:
    """One collection at a glance."""
    folder_of(asking, name)
    return _hidden(asking, await asking.run(asking.answers.collection, name))


@router.delete("/{name}", status_code=204, responses=errors(404, 409))
async def delete(name: str, asking: Admin) -> None:
    """Delete a collection for good; pictures in folders of their owner stay."""
    folder_of(asking, name)
    try:
        await asking.run(asking.answers.delete, name)
    except InvalidInput as error:  # another one needs it
        raise Conflict(str(error)) from error


@router.get("/{name}/pictures/{key}", response_model=PictureAnswer, responses=errors(404, 409))
async def picture(name: str, key: str, asking: Reader) -> PictureAnswer:
    """What is known of a picture."""
    hit = await asking.run(stored, asking, name, key)
    return picture_answer(hit, paths=asking.knows_paths)


@router.get(
    "/{name}/pictures/{key}/thumbnail",
    response_class=Response,
    responses={
        200: {"description": "A small version.", "content": {"image/webp": {}}},
        **errors(404, 409),
    },
)
async def thumbnail(
    name: str,
    key: str,
    asking: Reader,
    side: Annotated[int, Query(ge=16, le=2048, description="Its width and height at most.")] = 256,
) -> Response:
    """A small version of a picture, as WebP; grey where its file has gone."""

    def made() -> bytes:
        hit = stored(asking, name, key)
        return asking.parts.thumbnails.get([hit.uri], side)[0]

    data = await asking.run(made)
    return Response(
        data, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"}
    )


@router.get(
    "/{name}/pictures/{key}/video",
    response_class=FileResponse,
    responses={
        200: {"description": "The video.", "content": {"video/*": {}}},
        206: {"description": "The part of it that the header Range asks for."},
        **errors(404, 409),
    },
)
async def video(name: str, key: str, asking: Reader) -> FileResponse:
    """The video that a picture is a shot of, whole or a part of it, as players ask for it."""

    def found() -> Path:
        clip = Clip.at(stored(asking, name, key).uri)
        if clip is None:
            raise NotFound(f"picture {key} is no shot of a video; ask for its thumbnail")
        if not clip.file.is_file():
            raise NotFound(
                "the video is not where it was; sync its collection to have it found again"
            )
        return clip.file

    path = await asking.run(found)
    kind = guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})


async def _begun(asking: Asking, name: str, sent: Form, response: Response) -> JobAnswer:
    options = read_fields(IngestOptions, sent.without("name", "source"))
    uploads, source = sent.uploads("archive"), sent.all("source")
    if len(uploads) + len(source) != 1 or source == [""]:
        raise InvalidFields("send one source: a zip as `archive`, or name a folder as `source`")
    if uploads:
        job = await asking.run(_upload_begun, asking, name, uploads[0], options)
    else:
        if "\0" in source[0]:
            raise InvalidFields("source has a null character in it; it is the name of no file")
        start = partial(asking.parts.jobs.start, anywhere=asking.visitor.by == "home")
        job = await asking.run(start, name, Path(source[0]), options)
    return _told_of(asking, job, response)


def _told_of(asking: Asking, job: Job, response: Response) -> JobAnswer:
    response.headers["Location"] = f"/api/v1/ingests/{job.id}"
    return job_answer(job, paths=asking.knows_paths, hide=asking.hide)


def _upload_begun(asking: Asking, name: str, upload: UploadFile, options: IngestOptions) -> Job:
    most, called = asking.settings.max_upload_bytes, upload.filename or "archive.zip"
    if (upload.size or 0) > most:
        raise TooLarge(
            f"{called} has {upload.size or 0:,} bytes, the limit is {most:,} "
            "(MRAG_MAX_UPLOAD_BYTES); make several smaller archives"
        )
    upload.file.seek(0)
    if not zipfile.is_zipfile(upload.file):
        raise WrongType(f"{called} is no zip archive, or is cut short; send a zip of pictures")
    # A spooled file does all that one of the disk does, whatever its type says.
    file = cast(BufferedReader, upload.file)
    return asking.parts.jobs.start_upload(name, file, called, options)


def folder_of(asking: Asking, name: str) -> CollectionFolder:
    """The folder of a collection that is there; raises NotFound."""
    try:
        folder = asking.parts.engine.folder(name)
    except InvalidInput as error:  # no collection can have that name
        raise NotFound(str(error)) from error
    if not folder.path.is_dir():
        raise NotFound(
            f"there is no collection {name!r}; GET /api/v1/collections lists those that are"
        )
    return folder


def stored(asking: Asking, name: str, key: str) -> ImageHit:
    """A picture of a collection that is there; raises NotFound."""
    folder_of(asking, name)
    opened = asking.parts.engine.open(name)
    try:
        return stored_picture(opened, key)
    except InvalidInput as error:
        raise NotFound(str(error)) from error


def _hidden(asking: Asking, told: CollectionAnswer) -> CollectionAnswer:
    return told.model_copy(update={"trouble": asking.hide(told.trouble)})
