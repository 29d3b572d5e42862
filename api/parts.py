"""What routes work with: the finished parts of the API, and who asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from api.metrics import Metrics
from api.problems import Forbidden, Unknown, hider
from api.work import Work
from engine.app import Engine
from engine.search.thumbnails import Thumbnails
from engine.settings import Settings
from ingest.jobs.background import Jobs
from service.access.visitor import Role, Visitor
from service.answering import LocalAnswers
from service.correcting import name_of

Done = TypeVar("Done")


@dataclass(frozen=True)
class Parts:
    """The finished parts of one API."""

    engine: Engine
    jobs: Jobs
    thumbnails: Thumbnails
    work: Work
    metrics: Metrics


@dataclass(frozen=True)
class Asking:
    """A request, who sent it, and what answers them."""

    request: Request
    visitor: Visitor
    parts: Parts

    @property
    def settings(self) -> Settings:
        """The settings of the engine."""
        return self.parts.engine.settings

    @property
    def knows_paths(self) -> bool:
        """Whether they may be told where files lie on the server."""
        return self.visitor.may("admin")

    @property
    def answers(self) -> LocalAnswers:
        """What answers them, telling no more than they may know."""
        return LocalAnswers(
            self.parts.engine,
            paths=self.knows_paths,
            who=name_of(self.visitor),
            learner=self.parts.jobs.learner,
        )

    def hide(self, text: str) -> str:
        """A text without places that they may not know."""
        return text if self.knows_paths else hider(self.settings)(text)

    async def run(self, work: Callable[..., Done], *args: Any, **options: Any) -> Done:
        """Work that blocks, while they wait for it; see `Work.run`."""
        return await self.parts.work.run(self.request, partial(work, *args, **options))

    def stream(self, begin: Callable[[], Iterable[Done]]) -> AsyncGenerator[Done | None]:
        """What blocks between its pieces, one by one as they come; see `Work.stream`."""
        return self.parts.work.stream(self.request, begin)

    def note(self, timings_ms: Mapping[str, float]) -> None:
        """Note the times of an answer for who watches the program."""
        self.parts.metrics.stages(self.request.scope["route"].path, timings_ms)

    def note_failure(self) -> None:
        """Note a picture that nothing came of."""
        self.parts.metrics.failed(self.request.scope["route"].path)


def visitor_of(request: Request) -> Visitor | None:
    """Who sent a request, as the middleware before the API found out."""
    found = request.scope.get("state", {}).get("visitor")
    return found if isinstance(found, Visitor) else None


def _asking(role: Role) -> Callable[[Request], Asking]:
    def asking(request: Request) -> Asking:
        visitor = visitor_of(request)
        if visitor is None:
            raise Unknown(
                "nobody knows who asks; send a key: Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        if not visitor.may(role):
            raise Forbidden(
                f"{visitor.name} has the role {visitor.role}, this needs {role}; ask the one who "
                "runs this server for a key with that role"
            )
        return Asking(request, visitor, request.app.state.parts)

    return asking


Reader = Annotated[Asking, Depends(_asking("read"))]
Writer = Annotated[Asking, Depends(_asking("write"))]
Admin = Annotated[Asking, Depends(_asking("admin"))]
