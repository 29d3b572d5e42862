"""Words as they are held against each other: without inflection, and without those that say little.

Rules of inflection are English; other languages match in their exact form. In scripts without
spaces every pair of neighbouring letters is a term.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from engine.words import units, words


def _listed(names: str) -> frozenset[str]:
    return frozenset(names.split())


LITTLE = _listed(
    "a an the is are was were be been being am there this that these those it its of on in at to "
    "for from by with and or as near next while some his her their who which has have he she they"
)
"""English words that captions differ in without saying anything else."""

PLACING = _listed(
    "into onto over under up down beside behind front around through across along above below "
    "between against inside outside off"
)
"""English words that say how things lie, which no noun has before it in its group."""

IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "sheep": "sheep", "fish": "fish",
    "deer": "deer", "leaves": "leaf", "knives": "knife", "wolves": "wolf", "shelves": "shelf",
    "loaves": "loaf", "buses": "bus", "persons": "person", "policemen": "policeman",
}  # fmt: skip
"""Plurals that no rule makes."""

_SHORTEST = 3


def is_plural(word: str) -> bool:
    """Whether an English noun is one of several."""
    return word in IRREGULAR or (
        len(word) > _SHORTEST and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    )


def singular(word: str) -> str:
    """An English noun as one of it is called."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if not is_plural(word):
        return word
    if word.endswith("ies") and len(word) > _SHORTEST + 1:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "toes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=1 << 14)
def stem(word: str) -> str:
    """What a word has in common with its other forms, roughly: "running", "runs" and "run"."""
    if not word.isascii():
        return word
    word = singular(word)
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= _SHORTEST and not set(root).isdisjoint("aeiouy"):
            doubled = root[-1] == root[-2] and root[-1] not in "lsz"
            return (root[:-1] if doubled else root).rstrip("e")
    return word.rstrip("e") if len(word) > _SHORTEST else word


@lru_cache(maxsize=1 << 12)
def terms(text: str) -> frozenset[str]:
    """What a text says, as a set: its words' stems, and pairs of letters where none are spaced.

    All words, or the text itself, where nothing else is left.
    """
    said = words(text)
    found: set[str] = set()
    for word in said:
        if letters := units(word):
            found.update(map("".join, pairwise(letters)) if len(letters) > 1 else letters)
        elif word not in LITTLE:
            found.add(stem(word))
    return frozenset(found or said or (text.strip(),))
