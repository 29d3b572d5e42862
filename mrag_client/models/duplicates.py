"""Pictures that are there more than once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from mrag_client.models.base import MANY, Answered, Asked

MOST_GROUPS = 1000
"""Groups of duplicates that are told at once at most."""

DuplicateKind = Literal["all", "exact", "near"]


class DuplicateOptions(Asked):
    """Which groups of duplicates are told, the biggest first."""

    kind: Annotated[
        DuplicateKind,
        Field(
            description="exact: files of the same bytes; near: pictures that look the same though "
            "they were saved anew, scaled, turned or cropped a little; all: both."
        ),
    ] = "all"
    k: Annotated[int, Field(ge=1, le=MOST_GROUPS, description="Groups told.")] = 100
    offset: Annotated[int, Field(ge=0, le=MANY, description="Biggest groups to leave out.")] = 0


class DuplicateFile(Answered):
    """A file of a picture, as it was when it was embedded; `there`: it still is.

    `path` is where it lies, to those who may know; to others its name.
    """

    path: str
    bytes: int
    modified: datetime
    there: bool


class DuplicatePicture(Answered):
    """A picture of a group: its files, all of the same bytes, and what tells it from the others.

    `keep`: the program would keep it, and of it the first of its files. It deletes nothing.
    """

    id: str
    files: tuple[DuplicateFile, ...]
    width: int
    height: int
    taken_at: datetime | None
    places: tuple[str, ...]
    caption: str
    keep: bool = False


class DuplicateGroup(Answered):
    """Pictures that show the same, the one to keep first; `spare` bytes are those of the others."""

    pictures: tuple[DuplicatePicture, ...]
    files: int
    spare: int


class DuplicatesAnswer(Answered):
    """Groups of duplicates: those asked for, and of all of them the numbers and bytes to spare.

    `waiting`: pictures that are not compared yet. Asking again goes on with them, so until it is
    0 there may be more. `missing`: pictures whose file was not there to be looked at.
    """

    groups: tuple[DuplicateGroup, ...]
    total: int
    files: int
    spare: int
    waiting: int = 0
    missing: int = 0
