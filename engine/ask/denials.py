"""What captions say is not there: `no dogs`, `a street without any cars`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.words import words

DENIALS = ("no", "without", "without a", "without an", "without any")
"""What stands before the name of a thing that is not there."""

_DENIALS = frozenset(DENIALS)


def denies(captions: Iterable[str], wanted: Sequence[tuple[str, ...]]) -> bool:
    """Whether one of the things, each in any of its forms, is said, but only not to be there."""
    said = [words(caption) for caption in captions]
    for forms in wanted:
        plainly = [one for form in forms for caption in said for one in _plainly(caption, form)]
        if plainly and not any(plainly):
            return True
    return False


def _plainly(said: tuple[str, ...], form: str) -> Iterator[bool]:
    """For each place where a caption has the form: whether nothing denies it there."""
    wanted = words(form)
    for at in range(len(said) - len(wanted) + 1):
        if said[at : at + len(wanted)] == wanted:
            before = (" ".join(said[max(0, at - size) : at]) for size in (1, 2))
            yield _DENIALS.isdisjoint(before)
