"""Which of given answers a model would begin to write: their tokens, as far as they are needed."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InvalidInput

Tokens = tuple[int, ...]


def told_apart(choices: Sequence[str], tokens: Sequence[Sequence[int]], end: int) -> list[Tokens]:
    """Each choice's tokens up to the first that tells it from all others: mostly one token.

    Tokens that all of them begin with stay. `end` is the token that ends a text, which tells a
    choice from a longer one that begins with it. Raises InvalidInput for choices that the model
    cannot tell apart, and for none.
    """
    if not choices:
        raise InvalidInput("there is no answer to choose from; give two or more")
    whole = [(*own, end) for own in tokens]
    if len(set(whole)) < len(whole):
        second = next(i for i, own in enumerate(whole) if own in whole[:i])
        first = whole.index(whole[second])
        raise InvalidInput(
            f"the model reads the answers {choices[first]!r} and {choices[second]!r} as the same "
            "tokens; give answers that it can tell apart, or choose another generator"
        )
    return [own[: _length(own, whole)] for own in whole]


def beginnings(paths: Sequence[Tokens]) -> list[Tokens]:
    """What the model has to be given to say all tokens that tell choices apart; mostly `()`."""
    shared = _shared(min(paths), max(paths)) if len(paths) > 1 else 0
    inner = {own[:size] for own in paths for size in range(shared, len(own))}
    return sorted(inner, key=lambda own: (len(own), own))


def _length(own: Tokens, others: Sequence[Tokens]) -> int:
    return 1 + max((_shared(own, other) for other in others if other != own), default=0)


def _shared(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    size = 0
    while size < min(len(one), len(other)) and one[size] == other[size]:
        size += 1
    return size
