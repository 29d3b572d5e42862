"""Which role a signed-in person has."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from service.access.visitor import Role

if TYPE_CHECKING:
    from engine.settings import Settings

_EMAIL = re.compile(r"[!-?A-~]+@[A-Za-z0-9.-]+")
"""ASCII with one @: a letter that only looks like another one makes a name that is nobody's."""


def role_of(email: object, verified: object, settings: Settings) -> Role | None:
    """The role of whoever signed in with this e-mail; None: they may not come in.

    `verified` is the provider's own word, None where it has none. Without a list of readers
    every account of the provider may read. Raises nothing: what is no e-mail is nobody's.
    """
    if verified not in (None, True, "true", "True"):
        return None
    if not isinstance(email, str) or not _EMAIL.fullmatch(email):
        return None
    name = email.lower()
    if name in settings.admins:
        return "admin"
    if _is_listed(name, settings.writers):
        return "write"
    if not settings.readers or _is_listed(name, settings.readers):
        return "read"
    return None


def _is_listed(name: str, listed: Collection[str]) -> bool:
    """Whether the e-mail, or its whole domain, is listed."""
    return name in listed or f"@{name.rpartition('@')[2]}" in listed
