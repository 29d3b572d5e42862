"""Background ingests: where they stand, and how they are ended and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.document import errors
from api.events import EVENTS
from api.parts import Asking, Reader, Writer
from api.problems import Conflict, NotFound
from api.shapes import Jobs
from engine.errors import InvalidInput
from ingest.jobs.records import Job
from mrag_client.models import JobAnswer
from service.conversion import job_answer

router = APIRouter(prefix="/v1/ingests", tags=["ingests"])

_LOOK_EVERY_S = 0.25
_STILL_HERE_S = 15.0
"""A line so often, so that nothing on the way takes the connection for dead."""

_STREAM = {
    "description": "Server-sent events: `progress` as it goes on, `ended` at last; the data is "
    "the ingest.",
    "content": EVENTS,
}


@router.get("", response_model=Jobs, responses=errors())
async def ingests(asking: Reader) -> Jobs:
    """All ingests that are known, the newest first."""
    found = await asking.run(asking.parts.jobs.all)
    return Jobs(jobs=[_told(asking, job) for job in found])


@router.get("/{key}", response_model=JobAnswer, responses=errors(404))
async def ingest(key: str, asking: Reader) -> JobAnswer:
    """One ingest as it stands."""
    return _told(asking, await asking.run(_job, asking, key))


@router.post("/{key}/cancel", response_model=JobAnswer, responses=errors(404, 409))
async def cancel(key: str, asking: Writer) -> JobAnswer:
    """End an ingest at its next step: what it has done is kept. One that has ended stays so."""
    await asking.run(_job, asking, key)
    try:
        return _told(asking, await asking.run(asking.parts.jobs.cancel, key))
    except InvalidInput as error:
        raise Conflict(str(error)) from error


@router.post("/{key}/resume", response_model=JobAnswer, responses=errors(404, 409))
async def resume(key: str, asking: Writer) -> JobAnswer:
    """Run an ingest again that has ended: what has been done is not done again."""
    job = await asking.run(_job, asking, key)
    if job.is_active:
        raise Conflict("this ingest has not ended; cancel it first")
    return _told(asking, await asking.run(asking.parts.jobs.resume, key))


@router.get(
    "/{key}/events",
    response_class=StreamingResponse,
    responses={200: _STREAM, **errors(404)},
)
async def events(key: str, asking: Reader) -> StreamingResponse:
    """What an ingest does, as it does it, until it has ended."""
    first = await asking.run(_job, asking, key)
    return StreamingResponse(
        _events(asking, first),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(asking: Asking, job: Job) -> AsyncIterator[str]:
    told, silent = "", 0.0
    while True:
        now = _told(asking, job).model_dump_json()
        if not job.is_active:
            yield f"event: ended\ndata: {now}\n\n"
            return
        if now != told:
            yield f"event: progress\ndata: {now}\n\n"
            told, silent = now, 0.0
        elif silent >= _STILL_HERE_S:
            yield ": still here\n\n"
            silent = 0.0
        await asyncio.sleep(_LOOK_EVERY_S)
        silent += _LOOK_EVERY_S
        try:
            job = await run_in_threadpool(partial(_job, asking, job.id))
        except NotFound:  # its collection has been deleted meanwhile
            return


def _job(asking: Asking, key: str) -> Job:
    try:
        return asking.parts.jobs.get(key)
    except InvalidInput as error:
        raise NotFound(str(error)) from error


def _told(asking: Asking, job: Job) -> JobAnswer:
    return job_answer(job, paths=asking.knows_paths, hide=asking.hide)
