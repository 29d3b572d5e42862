"""The labels that a collection's taggings give its pictures, by their stored vectors alone."""

from __future__ import annotations

import hashlib

from corpus.shards import Halves
from engine.collection import CollectionCard, CollectionFolder
from engine.disk import refused
from engine.errors import Damaged
from engine.tags.tagger import Tagger
from engine.tags.tagging import read_tagging, tagging_names, tagging_path
from engine.vectors import unit
from engine.words import folded


class Labels:
    """What all taggings of a collection give pictures; `stamps` tell these taggings from others."""

    def __init__(self, folder: CollectionFolder, card: CollectionCard) -> None:
        """Raises Damaged where a tagging cannot be read."""
        self.stamps = stamps(folder)
        self._taggers: list[Tagger] = []
        for name in tagging_names(folder.tags):
            tagging = read_tagging(folder.tags, name)
            if tagging.encoder_id != card.encoder_id:
                raise Damaged(
                    f"the tagging {name!r} was made with encoder {tagging.encoder_id}, not with "
                    f"{card.encoder_id}; take it back with: mrag tag --undo {name}"
                )
            self._taggers.append(tagging.tagger)

    def of(self, images: Halves) -> list[tuple[str, ...]]:
        """The labels of pictures by their vectors as stored (n, dim)."""
        found: list[dict[str, str]] = [{} for _ in range(len(images))]
        rows = unit(images)
        for tagger in self._taggers:
            for labels, given in zip(found, tagger.give(rows), strict=True):
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
    except OSError as error:
        raise refused(path, error) from error
