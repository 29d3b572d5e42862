"""Bodies of forms: streamed to disk beyond a megabyte, and never more than the settings allow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from api.problems import BadRequest, ClientGone, TooLarge, WrongType
from engine.settings import Settings
from mrag_client.answers import NamedPicture

if TYPE_CHECKING:
    from starlette.requests import Request

_MULTIPART, _PLAIN = "multipart/form-data", "application/x-www-form-urlencoded"
"""A form with files, and one that has none."""

_AROUND = 2**20
"""What names, fields and boundaries around the files take."""

_FIELDS = 500
_FIELD_BYTES = 64 * 2**10


class _TooMuch(MultiPartException):
    """More bytes come than may."""


@dataclass(frozen=True)
class Form:
    """The fields and files of a form, in their order."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, UploadFile], ...]

    def without(self, *names: str) -> list[tuple[str, str]]:
        """The fields but these."""
        return [(name, value) for name, value in self.fields if name not in names]

    def all(self, name: str) -> list[str]:
        """All that a field is given as."""
        return [value for key, value in self.fields if key == name]

    def one(self, name: str) -> str:
        """What a field is given as, "" where it is not."""
        return next(iter(self.all(name)), "")

    def uploads(self, name: str) -> list[UploadFile]:
        """The files under a name; raises BadRequest for others."""
        for other, file in self.files:
            if other != name:
                raise BadRequest(
                    f"a file is sent as {other!r} ({file.filename!r}); files go under {name!r}"
                )
        return [file for _, file in self.files]


@asynccontextmanager
async def form_of(request: Request, settings: Settings) -> AsyncIterator[Form]:
    """The form that is sent, whose files are gone when the block ends.

    Raises WrongType for a body of another kind, TooLarge beyond the limits of the settings,
    BadRequest for one that cannot be taken apart.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {_MULTIPART, _PLAIN}:
        told = f"as {kind!r}" if kind else "without a content type"
        raise WrongType(f"the body is sent {told}; send {_MULTIPART}")
    most = _AROUND + (settings.max_upload_bytes if kind == _MULTIPART else 0)
    told_length = request.headers.get("content-length", "")
    if told_length.isdecimal() and int(told_length) > most:
        raise TooLarge(_too_large(settings))
    parsed = await _parsed(request, settings, most, plain=kind == _PLAIN)
    try:
        items = parsed.multi_items()
        yield Form(
            tuple((name, value) for name, value in items if isinstance(value, str)),
            tuple((name, value) for name, value in items if isinstance(value, UploadFile)),
        )
    finally:
        await parsed.close()


async def _parsed(request: Request, settings: Settings, most: int, *, plain: bool) -> FormData:
    async def counted() -> AsyncGenerator[bytes, None]:
        come = 0
        async for chunk in request.stream():
            come += len(chunk)
            if come > most:
                raise _TooMuch("too much")
            yield chunk

    parser: FormParser | MultiPartParser
    if plain:
        parser = FormParser(request.headers, counted(), max_fields=_FIELDS)
    else:
        parser = MultiPartParser(
            request.headers,
            counted(),
            max_files=settings.max_upload_files,
            max_fields=_FIELDS,
            max_part_size=_FIELD_BYTES,
        )
    try:
        return await parser.parse()
    except ClientDisconnect as error:
        raise ClientGone("the client has gone in the middle of what it sent") from error
    except _TooMuch as error:
        raise TooLarge(_too_large(settings)) from error
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise TooLarge(
                f"more than {settings.max_upload_files:,} files are sent at once "
                "(MRAG_MAX_UPLOAD_FILES); send them in several requests"
            ) from error
        raise BadRequest(
            f"the form cannot be read: {error.message.rstrip('.')}; send multipart/form-data as "
            "curl -F and httpx do, with fewer and shorter fields where these are too many"
        ) from error
    except (MultipartParseError, KeyError, ValueError, LookupError) as error:
        raise BadRequest(
            f"the form cannot be taken apart ({type(error).__name__}: {error}); send "
            "multipart/form-data as browsers, curl -F and httpx do"
        ) from error


def _too_large(settings: Settings) -> str:
    return (
        f"more than {settings.max_upload_bytes:,} bytes are sent at once (MRAG_MAX_UPLOAD_BYTES); "
        "send less, in several requests"
    )


def named_pictures(uploads: Sequence[UploadFile], folder: Path) -> list[NamedPicture]:
    """Uploads as picture files in a folder, each called as it was sent."""
    return [
        NamedPicture(_name(upload, place), _kept(upload, folder / str(place)))
        for place, upload in enumerate(uploads)
    ]


def check_sizes(uploads: Sequence[UploadFile], settings: Settings) -> None:
    """Raise TooLarge where no upload is small enough to be opened: alone, each is a failure."""
    most = settings.max_image_bytes
    if uploads and all((upload.size or 0) > most for upload in uploads):
        raise TooLarge(
            f"{_name(uploads[0], 0)} has {uploads[0].size or 0:,} bytes, the limit for a picture "
            f"is {most:,} (MRAG_MAX_IMAGE_BYTES); make it smaller"
        )


@asynccontextmanager
async def pictures_of(form: Form, settings: Settings) -> AsyncIterator[list[NamedPicture]]:
    """The pictures that a form holds, as files that are gone when the block ends."""
    uploads = form.uploads("image")
    check_sizes(uploads, settings)
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="mrag-upload-"))
    try:
        yield await run_in_threadpool(named_pictures, uploads, folder)
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def video_of(form: Form) -> AsyncIterator[NamedPicture | None]:
    """The video that a form holds, as a file that is gone when the block ends; None without."""
    uploads = form.uploads("video")
    if len(uploads) > 1:
        raise BadRequest(f"{len(uploads)} videos are sent; send one at a time")
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="mrag-upload-"))
    try:
        given = await run_in_threadpool(named_pictures, uploads, folder)
        yield next(iter(given), None)
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


def _kept(upload: UploadFile, place: Path) -> Path:
    upload.file.seek(0)
    with place.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return place


def _name(upload: UploadFile, place: int) -> str:
    return upload.filename or f"picture-{place + 1}"
