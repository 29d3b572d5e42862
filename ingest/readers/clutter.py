"""What systems, file servers and archives leave in folders, and no user put there."""

from __future__ import annotations

_CLUTTER = frozenset(
    {
        "#recycle",
        "$recycle.bin",
        "@eadir",
        "__macosx",
        "desktop.ini",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)


def is_clutter(name: str) -> bool:
    """Whether a file or folder of that name says nothing of what a user keeps on a disk."""
    return name.startswith(".") or name.lower() in _CLUTTER
