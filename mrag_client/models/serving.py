"""What a server says of itself, and why it does not answer."""

from __future__ import annotations

from mrag_client.models.base import Answered


class VersionAnswer(Answered):
    """The program that answers; `api` grows when an answer changes its meaning."""

    version: str
    api: int


class ReadyAnswer(Answered):
    """Whether models are loaded and collections open; `waiting_for` names what is not yet."""

    ready: bool
    waiting_for: tuple[str, ...] = ()


class Place(Answered):
    """A place in what was typed: from the character `start`, counted from 0, up to `end`."""

    text: str
    start: int
    end: int


class Problem(Answered):
    """Why a request was not answered, as RFC 9457 has it: `detail` names the remedy.

    `type` ends in the name of the error, such as `StoreLocked`, that the same call would raise
    without a server. `place` is where in a search it is, if that cannot be read.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    place: Place | None = None
