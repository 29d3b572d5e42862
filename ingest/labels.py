"""The labels that a collection's taggings give its pictures, by vectors and what people said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from corpus.shards import Halves
from engine.collection import CollectionCard, CollectionFolder
from engine.tags.tagging import tagging_names, tagging_path, usable_taggings
from engine.vectors import unit
from engine.words import folded


class Labels:
    """What all taggings of a collection give pictures; `stamps` tell these taggings from others.

    One that cannot be read gives nothing, and `troubles` says so with the remedy.
    """

    def __init__(self, folder: CollectionFolder, card: CollectionCard) -> None:
        self.stamps = stamps(folder)
        found, troubles = usable_taggings(folder.tags, card.encoder_id, card.dim)
        self.troubles = tuple(troubles.values())
        self._taggers = [one.tagger for one in found]

    def of(self, images: Halves, said: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """The labels of pictures by their vectors as stored (n, dim) and people's captions."""
        found: list[dict[str, str]] = [{} for _ in range(len(images))]
        rows = unit(images)
        for tagger in self._taggers:
            for labels, given in zip(found, tagger.give(rows, said), strict=True):
                for name in (tagger.labels[one.label].name for one in given):
                    labels.setdefault(folded(name), name)
        return [tuple(labels.values()) for labels in found]


def stamps(folder: CollectionFolder) -> tuple[str, ...]:
    """What tells the taggings of a collection from others: their names and their bytes."""
    return tuple(f"{name} {_digest(folder, name)}" for name in tagging_names(folder.tags))


def _digest(folder: CollectionFolder, name: str) -> str:
    path = tagging_path(folder.tags, name)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return "cannot be read"
