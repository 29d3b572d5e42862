"""Whom a command asks: the server of this home, where one runs, or an engine of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import BaseModel, ValidationError

import engine.errors
from cli.options import opened_engine, settings_for
from cli.output import say
from engine.errors import (
    InvalidInput,
    InvalidSearch,
    Missing,
    MragError,
    StoreLocked,
    UnreadableImage,
)
from mrag_client.answers import Answers
from mrag_client.errors import ClientError, PictureUnreadable, ServerRefused
from mrag_client.presence import Presence, home_of_user, running_server
from mrag_client.version import API, own_version

if TYPE_CHECKING:  # httpx is loaded where a server runs
    from mrag_client.client import Client

_NOT_TO_BE_HAD = frozenset((401, 403, 404))
"""What the server answers of what is not there, and of what it does not give."""

AskedT = TypeVar("AskedT", bound=BaseModel)


@contextmanager
def answering(*, local: bool = False, **models: str) -> Iterator[Answers]:
    """Who answers: the server of this home, or with `local`, or without one, an engine here.

    `models` are the options that say which models are used and where; a server that uses others is
    passed over, which is said. Its errors are those that an engine raises.
    """
    with served(local=local, **models) as client:
        if client is not None:
            yield client
            return
    from service.answering import LocalAnswers

    with opened_engine(settings_for(**models)) as engine:
        try:
            yield LocalAnswers(engine)
        except StoreLocked as error:
            if (server := running_server(home_of_user())) is None:
                raise
            raise StoreLocked(
                f"{error}. The server of this home, at {server.address}, has it open: it answers "
                "where --local and other models are left out"
            ) from error


@contextmanager
def served(*, local: bool = False, **models: str) -> Iterator[Client | None]:
    """A client of the server of this home; None where none runs, or none that could do this."""
    client = None if local else _client(models)
    if client is None:
        yield None
        return
    with client:
        try:
            yield client
        except ClientError as error:
            raise as_here(error) from error


def collection_named(option: str) -> str:
    """The collection that is meant, whose server may have been started to mean another one."""
    return option or os.environ.get("MRAG_COLLECTION", "")


def asked(kind: type[AskedT], **fields: object) -> AskedT:
    """Options as a server takes them; raises InvalidInput for what they cannot hold."""
    try:
        return kind(**fields)
    except ValidationError as error:
        problems = "; ".join(
            f"{' '.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        raise InvalidInput(f"this cannot be asked: {problems}") from error


def error_named(name: str, text: str) -> MragError | None:
    """The engine's error of that name; None where it has none."""
    kind = getattr(engine.errors, name, None)
    if isinstance(kind, type) and issubclass(kind, MragError):
        return kind(text)
    return None


def _client(models: Mapping[str, str]) -> Client | None:
    found = running_server(home_of_user())
    if found is None:
        return None
    if option := _unlike(found, models):
        say(f"the running server uses other models than {option} names: working here without it")
        return None
    try:
        client = _import_client()(found.address, found.token, of_home=True)
    except ClientError:  # the file names no address that a server could have
        return None
    try:
        theirs = client.version()
    except ClientError:  # it has gone and left its file, or something else listens there by now
        client.close()
        return None
    ours = own_version()
    if theirs.api != API:
        say(
            f"the running server is of version {theirs.version}, which this one ({ours}) does not "
            "understand: working here without it; start it anew"
        )
        client.close()
        return None
    if ours and theirs.version != ours:
        say(f"the running server is of version {theirs.version}, not {ours}; start it anew")
    return client


def _import_client() -> type[Client]:
    """The client, without the terminal program that httpx brings along: it is a third of it."""
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = cast(ModuleType, None)  # as if it could not be installed
        try:
            import_module("httpx")
        finally:
            del sys.modules["httpx._main"]
    from mrag_client.client import Client

    return Client


def _unlike(server: Presence, models: Mapping[str, str]) -> str:
    """The option or variable that names other models than the server uses; empty: none does."""
    given = {
        name: value or os.environ.get(f"MRAG_{name.upper()}", "") for name, value in models.items()
    }
    profile = given.pop("profile", "")
    if profile:
        from engine.settings import PROFILES

        encoder, generator = PROFILES.get(profile, ("", ""))
        theirs = (server.encoder, server.generator)
        if theirs != (given.get("encoder") or encoder, given.get("generator") or generator):
            return _told("profile", models)
    for name, value in given.items():
        if value and value != getattr(server, name):
            return _told(name, models)
    return ""


def _told(name: str, models: Mapping[str, str]) -> str:
    return f"--{name}" if models[name] else f"MRAG_{name.upper()}"


def as_here(error: ClientError) -> MragError:
    """The error that an engine here would have raised."""
    if isinstance(error, PictureUnreadable):
        return UnreadableImage(str(error))
    if not isinstance(error, ServerRefused):
        return Missing(str(error))
    if error.kind == InvalidSearch.__name__ and (place := error.problem.place):
        return InvalidSearch(error.detail, place.text, place.start, place.end)
    if (named := error_named(error.kind, error.detail)) is not None:
        return named
    if error.status in _NOT_TO_BE_HAD or error.status >= 500:
        return Missing(error.detail)
    return InvalidInput(error.detail)
