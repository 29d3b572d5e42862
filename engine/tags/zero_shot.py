"""Labels without an example: what captions that name them have in common, and prompts.

A label's direction is the difference between sentences that name it and sentences in general, in
the space where mapped pictures and mapped captions meet. Prompts are such sentences; captions that
people wrote are better ones where there are enough of them (RESULTS.md), so prompts count as
`PROMPTS_COUNT` captions beside them. Both are whitened by how captions spread (linear
discriminants, the ridge on one-hot), so that what many captions share tells no labels apart.

What a picture scores with labels is held against what it scores with all of them and with
EVERYDAY things: so no picture is near to all labels at once, which is also all that a correction
for hubs would take off (it is one number for each picture).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.alignment.alignment import GapMap
from engine.search.relevance_sample import sought_words, stored_words
from engine.tags.directions import Values, chosen_strength, directions, spread_of
from engine.tags.labels import Label, label_of
from engine.types import CaptionHit, Encoder, Vectors
from engine.vectors import unit
from engine.words import folded

TEMPLATES = ("a photo of {a}.", "a picture of {a}.", "there is {a} in the scene.")
"""What is said around a label: `{a}` is one of it, `{many}` several. Those that say how many tell
places worse, which have no plural, and things no better (RESULTS.md)."""

AS_IS = ("{}.", "a photo of {}.", "a picture of {}.")
"""Around a phrase that says itself how much or where: 'two dogs', 'in the snow'."""

EVERYDAY = tuple(
    label_of(name)
    for name in (
        "person", "child", "dog", "cat", "bird", "horse", "car", "bus", "train", "boat", "bicycle",
        "house", "street", "room", "kitchen", "beach", "mountain", "forest", "snow", "night sky",
        "flower", "tree", "food", "fruit", "cake", "chair", "table", "book", "computer", "sign",
    )
)  # fmt: skip
"""What pictures are of otherwise: what a label is held against however short its list is."""

PROMPTS_COUNT = 8
"""So many captions that name a label count as much as its prompts."""

CAPTIONS = 20_000
"""Captions that are looked through for labels, at most."""

_WHOLE = frozenset(
    (
        "a", "an", "the", "this", "that", "these", "those", "some", "many", "several", "one", "two",
        "three", "four", "five", "in", "on", "at", "by", "under", "over", "near", "inside",
        "outside", "during", "behind", "beside",
    )
)  # fmt: skip
"""Words that a phrase begins with which says itself how much or where."""


@dataclass(frozen=True, eq=False)
class Told:
    """Captions that people wrote, and which of them name which label.

    `mapped` (n, dim) are their vectors, `holds` (n, labels) says it.
    """

    mapped: Vectors
    holds: NDArray[np.bool_]

    @property
    def shares(self) -> Values:
        """How many of the captions name each label, as a share, (labels,)."""
        return np.asarray((self.holds.sum(axis=0) + 0.5) / (len(self.holds) + 1))


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """Directions of labels in the mapped space, `matrix` (dim, labels), from `origin` (dim,).

    `strength` is that of the whitening, None without captions.
    """

    matrix: Values
    origin: Values
    strength: float | None = None

    def scores(self, mapped: Vectors) -> Values:
        """What mapped pictures (n, dim) score with each label, (n, labels).

        In units of how one picture's scores differ.
        """
        every = (mapped - self.origin) @ self.matrix
        every -= every.mean(axis=1, keepdims=True)
        every /= np.maximum(every.std(axis=1, keepdims=True), 1e-12)
        return np.asarray(every)


def zero_shot(
    labels: Sequence[Label],
    encoder: Encoder,
    alignment: GapMap,
    told: Told | None,
    origin: Values,
    templates: Sequence[str] = TEMPLATES,
) -> ZeroShot:
    """Directions of these labels; `told` are captions of them.

    `origin` (dim,) is the mean of mapped pictures.
    """
    prompts = alignment.map_texts(prompt_vectors(labels, encoder, templates)).astype(np.float64)
    apart = prompts - prompts.mean(axis=0)
    if told is None or not told.holds.any():
        return ZeroShot(unit(apart).T, origin)
    texts = told.mapped.astype(np.float64)
    counts = told.holds.sum(axis=0)[:, None]
    sums = told.holds.T.astype(np.float64) @ (texts - texts.mean(axis=0))
    apart = (PROMPTS_COUNT * apart + sums) / (PROMPTS_COUNT + counts)
    strength = chosen_strength(texts, told.holds)
    found = directions(spread_of(texts), apart, strength)
    return ZeroShot(found, origin, strength)


def beside_everyday(labels: Sequence[Label]) -> tuple[Label, ...]:
    """The labels, and after them those EVERYDAY things that are not among them."""
    named = {folded(one.name) for one in labels}
    return (*labels, *(one for one in EVERYDAY if one.name not in named))


def prompt_vectors(
    labels: Sequence[Label], encoder: Encoder, templates: Sequence[str] = TEMPLATES
) -> Vectors:
    """The mean of each label's prompts, (labels, dim) unit rows."""
    forms = [prompts(label, templates) for label in labels]
    rows = encoder.encode_texts([text for of_label in forms for text in of_label])
    parts = np.split(rows, np.cumsum([len(of_label) for of_label in forms])[:-1])
    return np.asarray(unit(np.stack([part.mean(axis=0) for part in parts])), np.float32)


def prompts(label: Label, templates: Sequence[str] = TEMPLATES) -> list[str]:
    """The sentences that a label is embedded in."""
    found: list[str] = []
    for phrase in label.phrases:
        first = phrase.split()[0].casefold()
        if first in _WHOLE or not phrase.isascii():  # grammar that is not known is not guessed
            found += [one.format(phrase) for one in AS_IS]
        else:
            words = {"a": with_article(phrase), "many": plural(phrase)}
            found += [one.format(phrase, **words) for one in templates]
    return found


def told_by(labels: Sequence[Label], captions: Sequence[CaptionHit], alignment: GapMap) -> Told:
    """What captions, given with their raw vectors, say of labels."""
    kept = [one for one in captions if one.vector is not None]
    rows = np.array([one.vector for one in kept], np.float32).reshape(len(kept), -1)
    holds = naming(labels, [(one.text,) for one in kept])
    return Told(alignment.map_texts(rows) if len(rows) else rows, holds)


def naming(labels: Sequence[Label], said: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Which of the captions (each several texts) have all words of which label, (n, labels)."""
    holding: dict[int, set[int]] = {}
    for row, texts in enumerate(said):
        for word in stored_words(texts):
            holding.setdefault(word, set()).add(row)
    found = np.zeros((len(said), len(labels)), np.bool_)
    for at, label in enumerate(labels):
        for phrase in label.phrases:
            wanted = [holding.get(word, set()) for word in sought_words(phrase)]
            if wanted:
                found[list(set.intersection(*wanted)), at] = True
    return found


def with_article(words: str) -> str:
    """The words with 'a' or 'an' in front."""
    return f"{'an' if words[0].casefold() in 'aeiou' else 'a'} {words}"


def plural(words: str) -> str:
    """Several of what the words name, as English has it of most."""
    if words.endswith("y") and words[-2:-1] not in {"a", "e", "i", "o", "u", ""}:
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("s", "x", "z", "ch", "sh")) else "s")
