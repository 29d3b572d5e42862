"""The API as an application: made of finished parts, mounted by the server at /api."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from api.document import ABOUT, document_of, example_of
from api.metrics import Metrics, RouteTimes
from api.parts import Parts, visitor_of
from api.problems import ApiError, Forbidden, Unknown, hider, problem_response
from api.routes import (
    about,
    asking,
    collections,
    correcting,
    describing,
    ingests,
    searching,
    tagging,
)
from api.work import Work
from engine.app import Engine
from engine.errors import MragError
from engine.search.thumbnails import Thumbnails
from ingest.jobs.background import Jobs
from mrag_client.version import own_version

_PLAIN = "text/plain; version=0.0.4; charset=utf-8"


class _Api(FastAPI):
    """The application, with a document that says what the routes cannot."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return document_of(self)


def build_api(engine: Engine, jobs: Jobs, thumbnails: Thumbnails) -> FastAPI:
    """The API over an engine, its background ingests and its thumbnails, which stay the caller's.

    Its paths begin at /v1. Who asks stands in `scope["state"]["visitor"]`: without somebody
    there nearly all is refused.
    """
    settings = engine.settings
    work = Work(waiting=settings.max_waiting, seconds=settings.request_seconds)
    metrics = Metrics(engine, work)
    api = _Api(
        title="mRAG",
        version=own_version(),
        description=ABOUT.strip(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        servers=[{"url": "/api"}],
        redirect_slashes=False,
    )
    api.state.parts = Parts(engine, jobs, thumbnails, work, metrics)
    for part in (describing, searching, asking, collections, correcting, ingests, about, tagging):
        api.include_router(part.router)
    api.add_api_route("/openapi.json", _document, include_in_schema=False)
    api.add_api_route("/docs", _docs, include_in_schema=False)
    api.add_middleware(RouteTimes, metrics=metrics)
    told: tuple[type[Exception], ...] = (
        ApiError, MragError, HTTPException, RequestValidationError, ValidationError, OSError,
        MemoryError, Exception,
    )  # fmt: skip
    for kind in told:
        api.add_exception_handler(kind, _told)
    return api


def api_routes(api: FastAPI) -> list[BaseRoute]:
    """Where a server has the API: at /api, and its figures for Prometheus at /metrics."""
    return [Route("/metrics", partial(_metrics, api)), Mount("/api", api)]


def close_api(api: FastAPI) -> None:
    """End the API's own threads; engine, ingests and thumbnails stay as they are."""
    parts: Parts = api.state.parts
    parts.work.close()


async def _told(request: Request, error: Exception) -> Response:
    parts: Parts = request.app.state.parts
    visitor = visitor_of(request)
    knows_all = visitor is not None and visitor.may("admin")
    return problem_response(request, error, None if knows_all else hider(parts.engine.settings))


async def _metrics(api: FastAPI, request: Request) -> Response:
    """The figures, for those who run the server."""
    visitor = visitor_of(request)
    if visitor is None:
        headers = {"WWW-Authenticate": "Bearer"}
        return problem_response(request, Unknown("send the key of an administrator", headers))
    if not visitor.may("admin"):
        return problem_response(request, Forbidden("only an administrator's key reads this"))
    parts: Parts = api.state.parts
    return Response(parts.metrics.text(), media_type=_PLAIN)


async def _document(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


async def _docs(request: Request) -> HTMLResponse:
    """The routes on a page of our own: nothing is fetched from elsewhere."""
    server = f"{request.url.scheme}://{request.url.netloc}/api"
    rows = "".join(
        f"<tr><td><code>{method.upper()} /api{escape(path)}</code>"
        f"<td>{escape(operation.get('description', ''))}"
        f"<br><code>{escape(example_of(method, f'{server}{path}', operation))}</code>"
        for path, operations in request.app.openapi()["paths"].items()
        for method, operation in operations.items()
    )
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>mRAG API</title>"
        "<body><h1>mRAG API</h1>"
        f"<p>{escape(ABOUT.strip())}</p>"
        "<p>Parameters, bodies and answers, for programs and for any viewer of OpenAPI: "
        "<a href=openapi.json>openapi.json</a>.</p>"
        f"<table><tbody>{rows}</table>"
    )
