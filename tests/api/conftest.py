"""The API in process, over the small sample home, asked as different visitors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import api_routes, build_api, close_api
from api.log import RequestLog
from engine.app import Engine
from engine.search.thumbnails import Thumbnails
from ingest.jobs.background import Jobs
from service.access.visitor import Visitor

READER = Visitor("ann", "read", "key")
WRITER = Visitor("bob", "write", "key")
ADMIN = Visitor("eve", "admin", "key")
HOME = Visitor("this machine", "admin", "home")


class As:
    """Lets everybody in as one visitor; None: as nobody."""

    def __init__(self, app: ASGIApp, visitor: Visitor | None) -> None:
        self._app, self._visitor = app, visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._visitor is not None:
            scope.setdefault("state", {})["visitor"] = self._visitor
        await self._app(scope, receive, send)


def mounted(api: FastAPI, visitor: Visitor | None) -> Starlette:
    """The API as a server has it, with one visitor."""
    between = [Middleware(RequestLog), Middleware(As, visitor=visitor)]
    return Starlette(routes=api_routes(api), middleware=between)


@dataclass(frozen=True)
class Asked:
    """An API, and clients of it."""

    api: FastAPI
    engine: Engine
    jobs: Jobs

    def by(self, visitor: Visitor | None) -> TestClient:
        """A client that asks as this visitor."""
        return TestClient(mounted(self.api, visitor), raise_server_exceptions=False)


def asked_of(engine: Engine, folder: Path) -> Iterator[Asked]:
    """An API over an engine, closed at the end."""
    jobs = Jobs(engine)
    thumbnails = Thumbnails(folder, engine.settings.limits, max_bytes=2**20, workers=1)
    api = build_api(engine, jobs, thumbnails)
    yield Asked(api, engine, jobs)
    close_api(api)
    thumbnails.close()
    jobs.close()


@pytest.fixture(scope="session")
def sample_api(sample_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The API over the sample home; change nothing in it."""
    yield from asked_of(sample_engine, tmp_path_factory.mktemp("thumbnails"))


@pytest.fixture
def reader(sample_api: Asked) -> TestClient:
    return sample_api.by(READER)


@pytest.fixture
def admin(sample_api: Asked) -> TestClient:
    return sample_api.by(ADMIN)


def problem(response: Any, status: int, kind: str = "") -> str:
    """What a problem says, once it has been seen to be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == status
    assert set(told) - {"place"} == {"type", "title", "status", "detail", "instance"}
    assert told["type"] == (f"urn:mrag:error:{kind}" if kind else "about:blank")
    assert "Traceback" not in response.text
    return str(told["detail"])
