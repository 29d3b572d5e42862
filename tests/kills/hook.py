"""Counts the steps by which a process commits what it does, and ends it at one of them."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Literal
from unittest.mock import patch

Side = Literal["before", "after"]

_CALLS = ("replace", "rename", "unlink", "remove", "rmdir", "fsync")
"""The calls of `os` by which files come, go and are made safe; what else there is uses these."""


class Steps:
    """The steps since `install`: calls of `_CALLS`, and commits of SQLite.

    With `stop` the process is killed on that `side` of that step, counted from 1.
    """

    def __init__(self, stop: int = 0, side: Side = "before") -> None:
        self.taken = 0
        self._stop, self._side = stop, side

    def install(self) -> None:
        """Count from now on, in this process."""
        for name in _CALLS:
            setattr(os, name, self._counted(getattr(os, name)))

        counted = self._counted

        class Connection(sqlite3.Connection):
            """Whose transactions are steps."""

            __exit__ = counted(sqlite3.Connection.__exit__)

        # Whoever opens a database does so by this name.
        patch.object(sqlite3, "connect", partial(sqlite3.connect, factory=Connection)).start()

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def step(*args: Any, **kwargs: Any) -> Any:
            self.taken += 1
            here = self.taken == self._stop
            if here and self._side == "before":
                _die()
            done = call(*args, **kwargs)
            if here:
                _die()
            return done

        return step


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
