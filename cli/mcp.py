"""The command for agents: mcp, tools over standard input and output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import typer

from cli.doors import collection_named, served
from cli.options import LocalOption, settings_for
from engine.errors import Missing, UnreadableImage

if TYPE_CHECKING:  # what works is loaded at the first call
    from engine.app import Engine
    from mrag_client.client import Client
    from server.agents import Asked


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(mcp)


def mcp(local: LocalOption = False) -> None:
    """Answer an agent over standard input and output (Model Context Protocol).

    Through the server of this home while one runs, else by models of its own, from the first
    question on. Agents may look and describe; nothing can be changed.
    """
    try:
        from server.agents import tools
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise Missing(
            "agents need the package mcp; install it with: pip install 'mrag[mcp]'"
        ) from error
    door = TerminalDoor(local=local)
    try:
        tools(door, files=True).run("stdio")
    finally:
        door.close()


class TerminalDoor:
    """Answers through the server of this home, or by an engine that lets go of indexes in between.

    So other commands find the indexes free, while the models stay loaded.
    """

    def __init__(self, *, local: bool = False) -> None:
        self._local = local
        self._alone = Lock()
        self._engine: Engine | None = None

    @contextmanager
    def asked(self) -> Iterator[Asked]:
        """Who answers one call: a server may have been started, or ended, since the last one."""
        from server.agents import Asked

        with served(local=self._local) as client:
            if client is not None:
                yield Asked(client, partial(_of_server, client))
                return
        from service.answering import LocalAnswers

        with self._alone, self._opened() as engine:
            yield Asked(LocalAnswers(engine), partial(_of_engine, engine))

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        """The engine, made at the first call; its indexes are let go of, its models are kept."""
        from engine.app import build_engine

        engine = self._engine = self._engine or build_engine(settings_for())
        try:
            yield engine
        finally:
            for name in engine.names():
                engine.release(name)

    def hide(self, text: str) -> str:
        """All of a text: who asks is the user of this machine."""
        return text

    def close(self) -> None:
        """Let go of the models."""
        if self._engine is not None:
            self._engine.close()


def _of_server(client: Client, key: str, collection: str) -> bytes | None:
    """A picture's preview of a server, which wants to be told the collection's name."""
    from server.agents import SIDE

    name = collection_named(collection)
    if not name:
        known = client.collections()
        if len(known) != 1:  # which one it takes when none is named is its own affair
            return None
        name = known[0].collection
    return client.thumbnail(key, collection=name, side=SIDE)


def _of_engine(engine: Engine, key: str, collection: str) -> bytes | None:
    from engine.images import open_pixels
    from engine.search.thumbnails import shrunk
    from server.agents import SIDE
    from service.answering import stored_picture

    hit = stored_picture(engine.open(collection), key)
    try:
        return shrunk(open_pixels(Path(hit.uri), engine.settings.limits), SIDE)
    except UnreadableImage:  # its file has gone
        return None
