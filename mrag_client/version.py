"""Which program this is, and which form of questions and answers it speaks."""

from __future__ import annotations

API = 1
"""Grows when a question or an answer changes its meaning; fields that are added do not count."""


def own_version() -> str:
    """The version of the distribution that is installed; empty where it runs from its source."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mrag")
    except PackageNotFoundError:
        return ""
