"""Every error as a problem (RFC 9457): what happened and what helps, never a trace."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from engine.disk import MEMORY, refused
from engine.errors import (
    Busy,
    CollectionMissing,
    IncompatibleIndex,
    InvalidSearch,
    Missing,
    MragError,
    NothingToSync,
)
from engine.legible import legible
from engine.settings import Settings
from mrag_client.models import Place, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"
_KIND = "urn:mrag:error:"
_AGAIN_S = "1"
_MOST_TOLD = 40
"""Characters of a value that are repeated to whoever gave it."""

_LOG = logging.getLogger(__name__)


class ApiError(Exception):
    """What only the API refuses; the status and the name say why, the text names the remedy."""

    status = 400

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})


class BadRequest(ApiError):
    """A body that cannot be taken apart."""


class Unknown(ApiError):
    """Nobody knows who asks."""

    status = 401


class Forbidden(ApiError):
    """The visitor's role does not include it."""

    status = 403


class NotFound(ApiError):
    """There is no such thing."""

    status = 404


class Conflict(ApiError):
    """It cannot be done as things stand."""

    status = 409


class TooLarge(ApiError):
    """More was sent than is taken."""

    status = 413


class WrongType(ApiError):
    """What was sent is of a kind that is not taken."""

    status = 415


class InvalidFields(ApiError):
    """Fields that cannot be used as given."""

    status = 422


class ClientGone(ApiError):
    """Nobody waits for the answer any more; nobody reads this one either."""

    status = 499


class TookTooLong(ApiError):
    """The work was given up, as it took longer than a request may."""

    status = 503


def hider(settings: Settings) -> _Hider:
    """Takes the folders of this machine out of what is said to those who may not know them."""
    return _Hider(settings)


class _Hider:
    """Replaces the folders that the settings name with the settings' names."""

    def __init__(self, settings: Settings) -> None:
        folders = {"MRAG_HOME": settings.home, "MRAG_SOURCE_ROOT": settings.source_root}
        places = {str(place): name for name, place in folders.items() if place is not None}
        places |= {str(place.resolve()): name for name, place in folders.items() if place}
        self._places = sorted(places.items(), key=lambda one: -len(one[0]))

    def __call__(self, text: str) -> str:
        """The text without them."""
        for place, name in self._places:
            text = text.replace(place, name)
        return text


def problem_response(request: Request, error: Exception, hide: _Hider | None = None) -> Response:
    """The answer to an error; `hide`, where the visitor may not know places of this machine."""
    status, detail, headers = _told(error)
    if hide is not None:
        detail = hide(detail)
    name = type(error).__name__ if isinstance(error, MragError | ApiError) else ""
    path, place = request.url.path, _place(error)
    return problem(status, legible(detail), path, name=name, headers=headers, place=place)


def problem(
    status: int,
    detail: str,
    instance: str = "",
    *,
    name: str = "",
    headers: Mapping[str, str] | None = None,
    place: Place | None = None,
) -> Response:
    """A problem as an answer; `name` is that of the error, `place` where in a search it is."""
    told = Problem(
        type=f"{_KIND}{name}" if name else "about:blank",
        title=_title(status),
        status=status,
        detail=detail,
        instance=instance,
        place=place,
    )
    return Response(told.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)


def validation_text(error: ValidationError | RequestValidationError) -> str:
    """What is wrong with which field, and what was given, for a person."""
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'request'}: {one['msg']}{_given(one)}"
        for one in error.errors()
        # A list of which an entry is wrong counts as too short, too, which misleads.
        if one["type"] != "too_short" or not one["input"]
    )


def _given(one: Mapping[str, Any]) -> str:
    """The value that is wrong, where one was given that a line can hold."""
    value = one["input"]
    if not isinstance(value, str | int | float) or one["type"] == "missing":
        return ""
    told = str(value)
    return f" ({told!r} is given)" if len(told) <= _MOST_TOLD else f" ({len(told):,} are given)"


def _place(error: Exception) -> Place | None:
    if isinstance(error, InvalidSearch) and error.typed:
        return Place(text=error.typed, start=error.start, end=error.end)
    return None


def _title(status: int) -> str:
    return "Client Closed Request" if status == ClientGone.status else HTTPStatus(status).phrase


def _told(error: Exception) -> tuple[int, str, Mapping[str, str]]:
    """Status, detail and headers."""
    if isinstance(error, ApiError):
        return error.status, str(error), error.headers
    if isinstance(error, HTTPException):
        return error.status_code, _http_text(error), error.headers or {}
    if isinstance(error, ValidationError | RequestValidationError):
        return 422, validation_text(error), {}
    if isinstance(error, MragError):
        return _status(error), str(error), _retry(error)
    if isinstance(error, MemoryError):
        return 503, MEMORY, {}
    return *_failed(error), {}


def _failed(error: Exception) -> tuple[int, str]:
    """Status and detail of what nobody foresaw, which goes to the log."""
    _LOG.error("a request failed", exc_info=error)
    if isinstance(error, OSError):
        return 503, str(refused(Path(error.filename or "the disk"), error))
    return 500, "Something went wrong here; the server's log says what, under the request id."


def _status(error: MragError) -> int:
    if isinstance(error, CollectionMissing):
        return 404
    if isinstance(error, IncompatibleIndex | NothingToSync):
        return 409
    if isinstance(error, Busy | Missing):
        return 503
    return 422


def _retry(error: MragError) -> Mapping[str, str]:
    return {"Retry-After": _AGAIN_S} if isinstance(error, Busy) else {}


def _http_text(error: HTTPException) -> str:
    if error.status_code == 404:
        return "There is nothing at this address; /api/openapi.json lists what is."
    if error.status_code == 405:
        return "This address does not take that method; /api/openapi.json lists which it takes."
    return str(error.detail)
