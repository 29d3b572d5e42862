"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["read", "write", "admin"]
"""`read` looks and describes; `write` also fills collections; `admin` also deletes, and sees
where files lie on the server."""

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks: a key's or a person's name, their role, and how they are known.

    `open`: nobody is asked who they are, as the server listens to its own machine only.
    `home`: they can read the server's own token in its home, so they are its owner.
    """

    name: str
    role: Role
    by: Literal["key", "sign-in", "home", "open"]

    def may(self, needed: Role) -> bool:
        """Whether the role includes the one that is needed."""
        return ROLES.index(self.role) >= ROLES.index(needed)
