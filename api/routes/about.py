"""Whether the server answers, whether it is ready, what it is, and how it does."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.document import errors
from api.parts import Parts, Reader, visitor_of
from api.shapes import Health
from mrag_client.models import ReadyAnswer, VersionAnswer
from mrag_client.version import API, own_version
from service.readiness import waiting_for

router = APIRouter(prefix="/v1", tags=["about"])

_NOT_YET: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "Not yet: models are being loaded.",
        "model": ReadyAnswer,
        "own": True,
    }
}


@router.get("/health", response_model=Health)
async def health() -> Health:
    """That the server answers at all; nobody is asked who they are."""
    return Health()


@router.get("/ready", response_model=ReadyAnswer, responses=_NOT_YET)
async def ready(request: Request, response: Response) -> ReadyAnswer:
    """Whether models are loaded, so that the collection that is shown first answers at once.

    Nobody is asked who they are, but only those who may read are told the collections' names.
    """
    parts: Parts = request.app.state.parts
    missing = await parts.work.run(request, lambda: waiting_for(parts.engine))
    if missing:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    may_know = visitor_of(request) is not None
    return ReadyAnswer(ready=not missing, waiting_for=tuple(missing) if may_know else ())


@router.get("/version", response_model=VersionAnswer, responses=errors())
async def about(asking: Reader) -> VersionAnswer:
    """The program that answers."""
    del asking
    return VersionAnswer(version=own_version(), api=API)
