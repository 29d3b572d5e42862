"""The largest picture that is opened: known apart from what opens it, which takes long to load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The largest picture that is opened, in bytes of its file and in pixels."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 100_000_000


DEFAULT_LIMITS = Limits()
