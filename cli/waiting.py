"""Tells at a terminal that something is being done, until it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cli.output import plain

if TYPE_CHECKING:  # rich is loaded where something is drawn
    from rich.status import Status

T = TypeVar("T")

_shown: list[Status] = []


def each_waited_for(stage: str, things: Iterable[T]) -> Iterator[T]:
    """The things, each as soon as it is there; nothing stays of what is shown meanwhile."""
    pending = iter(things)
    while True:
        try:
            with _waiting(stage):
                thing = next(pending)
        except StopIteration:
            return
        yield thing


@contextmanager
def paused() -> Iterator[None]:
    """Something else is drawn inside: a terminal has one place for what moves."""
    for status in _shown:
        status.stop()
    try:
        yield
    finally:
        for status in _shown:
            status.start()


def told_meanwhile(piece: str) -> None:
    """Show a piece of text behind those before it, as what is waited for; it goes, too."""
    from rich.text import Text

    for status in _shown:
        before = status.status if isinstance(status.status, Text) else Text()
        status.update(before + plain(piece.replace("\n", " ")))


@contextmanager
def _waiting(stage: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{stage} ...") as status:
        _shown.append(status)
        try:
            yield
        finally:
            _shown.remove(status)
