"""What goes wrong with a server, as one tree.

ClientError
├── PictureUnreadable   a file of this machine that cannot be sent
├── ServerGone          nobody answers at the address, or the line broke
└── ServerRefused       the server answered with a problem, and says what helps
"""

from __future__ import annotations

import re

from mrag_client.models import Problem


class ClientError(Exception):
    """The root of all errors that the client raises on purpose."""


class PictureUnreadable(ClientError):
    """A file of this machine that is to be sent cannot be read."""


class ServerGone(ClientError):
    """Nobody answers at the address, or the line broke before the answer was whole."""


class ServerRefused(ClientError):
    """The server would not or could not do what was asked; its text names the remedy.

    `kind` is the name of the error (`CollectionMissing`, `Busy`), empty where the answer came from
    something else on the way, such as a proxy.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.status = problem.status
        self.detail = problem.detail or problem.title
        self.kind = _kind(problem.type)


def _kind(told: str) -> str:
    """The last word of a problem's type; RFC 9457 has about:blank for none."""
    return "" if told == "about:blank" else re.split(r"[/:#]", told)[-1]
