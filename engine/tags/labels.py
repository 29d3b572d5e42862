"""A list of labels as people write it: one a line, with other words for it if they like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

from engine.errors import InvalidInput
from engine.legible import legible
from engine.words import folded, words

MOST_LABELS = 2_000
"""Labels of one list: each is embedded in several sentences, and kept in each picture it fits."""

MOST_LETTERS = 100
"""Characters of a label, and of each of its wordings."""

MOST_WORDINGS = 32

_COMMENT, _IS = re.compile(r"(?:^|\s)#.*", re.DOTALL), "="
_UNSEEN = regex.compile(r"[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]")
"""What has no place in a name: controls, halves of characters, what turns the order of text."""


@dataclass(frozen=True)
class Label:
    """A label, and the phrases that it is looked for by; without any of these, by its name."""

    name: str
    phrases: tuple[str, ...]


def label_of(name: str, phrases: Sequence[str] = ()) -> Label:
    """A label that can be used; raises InvalidInput."""
    found = Label(_checked(name), tuple(map(_checked, phrases)) or (_checked(name),))
    if _IS in found.name or _COMMENT.search(found.name):
        raise InvalidInput(f"{found.name!r} has a sign of lists; write it without = and #")
    if len(found.phrases) > MOST_WORDINGS:
        raise InvalidInput(
            f"the label {found.name!r} has {len(found.phrases)} wordings; give at most "
            f"{MOST_WORDINGS}"
        )
    return found


def read_labels(text: str) -> tuple[Label, ...]:
    """The labels of a list: one a line, `label = phrase, phrase` words it.

    `#` begins a comment, but within a word.

    Raises InvalidInput, naming the line, for what cannot be one, for a label that is there twice
    (without regard to case), for none and for more than MOST_LABELS.
    """
    found: list[Label] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        told = _COMMENT.sub("", line).strip()
        if not told:
            continue
        try:
            label = _of_line(told)
        except InvalidInput as error:
            raise InvalidInput(f"line {number} of the labels: {error}") from None
        first = seen.setdefault(folded(label.name), number)
        if first != number:
            raise InvalidInput(
                f"line {number} of the labels: {label.name!r} is there already, in line {first}; "
                "write each label once, and other words for it behind it: dog = dog, puppy"
            )
        found.append(label)
    return checked_labels(found)


def checked_labels(labels: Iterable[Label]) -> tuple[Label, ...]:
    """As many labels as can be used; raises InvalidInput for none and for too many."""
    found = tuple(labels)
    if not found:
        raise InvalidInput("there is no label in the list; write one a line, like: dog")
    if len(found) > MOST_LABELS:
        raise InvalidInput(
            f"the list has {len(found):,} labels, the limit is {MOST_LABELS:,}; take those that "
            "you will look for, or make several lists of them"
        )
    return found


def written(labels: Iterable[Label]) -> str:
    """A list that is read as these labels."""
    return "\n".join(
        one.name if one.phrases == (one.name,) else f"{one.name} = {', '.join(one.phrases)}"
        for one in labels
    )


def _of_line(line: str) -> Label:
    name, is_, rest = line.partition(_IS)
    if not is_:
        return label_of(name)
    phrases = [phrase.strip() for phrase in rest.split(",")]
    if not all(phrases):
        raise InvalidInput(f"'{legible(line)}' has a wording without words; write dog = dog, puppy")
    return label_of(name, phrases)


def _checked(text: str) -> str:
    told = " ".join(text.split())
    if not told:
        raise InvalidInput("a label without a name; write one like: dog")
    if _UNSEEN.search(told):
        raise InvalidInput(f"'{legible(told)}' has characters that nobody sees; write it anew")
    if not words(told):
        raise InvalidInput(f"{told!r} has no words; write what a picture may show")
    if len(told) > MOST_LETTERS:
        raise InvalidInput(
            f"{told[:40]!r}... has {len(told):,} characters; a label has at most {MOST_LETTERS}"
        )
    return told
