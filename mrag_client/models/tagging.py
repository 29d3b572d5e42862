"""Labels that pictures get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from mrag_client.models.base import Answered, Asked

MOST_LABELLED = 10_000
"""Pictures that an answer names with their labels at most, or that are looked at for it."""


class _Labels(Asked):
    """A list of labels, and which of them pictures get."""

    name: Annotated[str, Field(max_length=63)] = "labels"
    labels: Annotated[
        str,
        Field(
            max_length=900_000,
            description="One a line; # begins a comment; other words for a label stand behind it: "
            "dog = dog, puppy. Without any, those of the examples.",
        ),
    ] = ""
    examples: Annotated[
        str,
        Field(
            max_length=900_000,
            description="One a line: a picture of the collection (its id, path or name), a tab, a "
            "label that it has.",
        ),
    ] = ""
    single: Annotated[
        bool, Field(description="Of each picture the likeliest label alone, or none.")
    ] = False
    least: Annotated[
        float, Field(gt=0, lt=1, description="The chance from which on a picture gets a label.")
    ] = 0.3


class TagOptions(_Labels):
    """Which labels pictures are to get, and which of them.

    `name` is that of the tagging: one of the same name is replaced, and it is taken back by it.
    """

    dry_run: Annotated[bool, Field(description="Only say what pictures would get.")] = False
    k: Annotated[
        int, Field(ge=0, le=MOST_LABELLED, description="Pictures that are named in the answer.")
    ] = 12


class LabelledOptions(_Labels):
    """Whose labels are told, picture by picture.

    Those of the tagging `name` that stands; with labels or examples those that it would give.
    """

    after: Annotated[
        str, Field(max_length=40, description="The `next` of the page before; empty: the first.")
    ] = ""
    k: Annotated[
        int, Field(ge=1, le=MOST_LABELLED, description="Pictures that are looked at for a page.")
    ] = 1_000


class LabelChance(Answered):
    """A label that a picture has, and the chance that it is right."""

    label: str
    chance: float


class LabelledPicture(Answered):
    """A picture and the labels it gets, the likeliest first; `uri` as in ImageHit."""

    id: str
    uri: str
    caption: str
    labels: tuple[LabelChance, ...]


class LabelCount(Answered):
    """How many pictures get a label."""

    label: str
    pictures: int


class TagsAnswer(Answered):
    """What a tagging gives the pictures of a collection, the commonest labels first.

    `labelled` of `pictures` get any. `shown` are some of them, drawn at random. `examples` were
    learned from, `skipped` are those that could not be, and why. `troubles`: of other taggings
    of the collection, which give nothing, as they cannot be read. `pending`: why searches do not
    show the labels yet, which are safe on disk; empty where they do.
    """

    collection: str
    name: str
    dry_run: bool
    pictures: int
    labelled: int
    labels: tuple[LabelCount, ...]
    shown: tuple[LabelledPicture, ...]
    examples: int = 0
    skipped: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    pending: str = ""


class LabelledAnswer(Answered):
    """A page of the pictures that get labels, as the collection has them, and those labels.

    `next`: where the next page begins, empty where this was the last. Pages that are looked at
    while the collection is compacted may tell of a picture twice.
    """

    collection: str
    pictures: tuple[LabelledPicture, ...]
    next: str = ""


class TaggingAnswer(Answered):
    """A tagging that stands; `labels` is its list as it may be given again.

    `trouble`: it cannot be read, and what mends that.
    """

    name: str
    labels: str = ""
    single: bool = False
    least: float = 0.0
    examples: int = 0
    who: str = ""
    when: datetime | None = None
    trouble: str = ""


class TaggingsAnswer(Answered):
    """The taggings of a collection, by name; `pending` as in TagsAnswer, of one taken back."""

    collection: str
    taggings: tuple[TaggingAnswer, ...]
    pending: str = ""
