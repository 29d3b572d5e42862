"""Pictures of a collection tagged: looked at first, kept, listed and taken back."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from uuid import UUID

import numpy as np

from corpus.ledger import Ledger
from engine.app import Collection, Engine
from engine.errors import Damaged, InvalidInput, StoreLocked
from engine.legible import legible
from engine.progress import tell
from engine.store import picture_id
from engine.tags.labels import Label, checked_labels, label_of, read_labels, written
from engine.tags.making import Examples, make_tagger
from engine.tags.tagger import Tagger
from engine.tags.tagging import (
    Tagging,
    checked_name,
    new_tagging,
    tagging_names,
    usable_tagging,
    usable_taggings,
)
from engine.words import folded
from ingest.corrections import level
from ingest.jobs.learner import Learner
from ingest.tagging import Labelled, Looked, Place, keep, look, page, standing, take_back
from mrag_client.models import (
    LabelChance,
    LabelCount,
    LabelledAnswer,
    LabelledOptions,
    LabelledPicture,
    TaggingAnswer,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
)
from service.correcting import HERE, file_named

MOST_EXAMPLES = 20_000
"""Example pictures of one tagging."""

_TOLD_OF = 20
"""Examples that could not be used, of so many it is told why."""

_NEXT = "{0.shard}-{0.row}"

_MOMENT_S = 20.0
"""How long an answer waits for labels to be found by search: they are safe before that."""


@dataclass(frozen=True)
class TagMaker:
    """Tags pictures of an engine's collections in somebody's name.

    With a `learner` the index is brought level in the background, else before the answer.
    """

    engine: Engine
    who: str = HERE
    learner: Learner | None = None
    paths: bool = True

    def tag(self, name: str, options: TagOptions) -> TagsAnswer:
        """Try labels on a collection and, unless it is a dry run, give them.

        Raises InvalidInput for labels and examples that cannot be used.
        """
        collection = self.engine.open(name)
        checked_name(options.name)
        tagger, examples, skipped = _made(collection, options)
        looked = look(collection.folder, tagger, options.k, tell)
        if not options.dry_run:
            count = 0 if examples is None else len(examples.pictures)
            made = new_tagging(
                options.name, tagger, collection.card.encoder_id, who=self.who, examples=count
            )
            keep(collection.folder, made)
        pending = "" if options.dry_run else self._level(collection)
        told = self._answer(collection, options, tagger, looked, skipped, examples)
        return told.model_copy(update={"pending": pending})

    def labelled(self, name: str, options: LabelledOptions) -> LabelledAnswer:
        """A page of what a tagging gives, one that stands or one that is asked for.

        Raises InvalidInput where there is none of that name, Damaged where it cannot be read.
        """
        collection = self.engine.open(name)
        if options.labels.strip() or options.examples.strip():
            tagger, _, _ = _made(collection, options)
        else:
            standing(collection.folder, options.name)
            tagger = _usable(collection, options.name).tagger
        found = page(collection.folder, tagger, _place(options.after), options.k)
        return LabelledAnswer(
            collection=collection.card.name,
            pictures=tuple(self._shown(one, tagger) for one in found.pictures),
            next=_NEXT.format(found.after) if found.after else "",
        )

    def taggings(self, name: str) -> TaggingsAnswer:
        """The taggings of a collection; one that cannot be read says what mends that."""
        collection = self.engine.open(name)
        told = tuple(self._told(collection, one) for one in tagging_names(collection.folder.tags))
        return TaggingsAnswer(collection=collection.card.name, taggings=told)

    def _told(self, collection: Collection, name: str) -> TaggingAnswer:
        try:
            found = _usable(collection, name)
        except Damaged as error:
            trouble = self._placed(collection.folder.tags, str(error))
            return TaggingAnswer(name=name, trouble=trouble)
        return TaggingAnswer(
            name=name,
            labels=written(found.tagger.labels),
            single=found.tagger.single,
            least=found.tagger.least,
            examples=found.examples,
            who=found.who,
            when=datetime.fromisoformat(found.when),
        )

    def untag(self, name: str, tagging: str) -> TaggingsAnswer:
        """Take a tagging back: its labels go, but those that another one gives, too."""
        collection = self.engine.open(name)
        take_back(collection.folder, tagging)
        pending = self._level(collection)
        return self.taggings(name).model_copy(update={"pending": pending})

    def _level(self, collection: Collection) -> str:
        """Have the index show what stands now; why it does not yet, where it does not."""
        name = collection.card.name
        if self.learner is not None:
            self.learner.label(name)
            if not self.learner.labelled(name, _MOMENT_S):
                return "this is on disk; searches show it once nothing else writes the collection"
            trouble = self.learner.following(name).trouble
            why = trouble if self.paths else "ask the one who runs this server"
            return f"this is on disk, but searches do not show it yet: {why}" if trouble else ""
        try:
            level(collection.folder, collection.card, self.engine.settings, tell)
        except StoreLocked:
            return (
                "this is on disk; searches show it once nothing else writes the collection, and at "
                f"the latest after: mrag push {name}"
            )
        return ""

    def _answer(
        self,
        collection: Collection,
        options: TagOptions,
        tagger: Tagger,
        looked: Looked,
        skipped: Sequence[str],
        examples: Examples | None,
    ) -> TagsAnswer:
        counted = sorted(
            zip(tagger.labels, looked.counts, strict=True), key=lambda one: (-one[1], one[0].name)
        )
        return TagsAnswer(
            collection=collection.card.name,
            name=options.name,
            dry_run=options.dry_run,
            pictures=looked.pictures,
            labelled=looked.labelled,
            labels=tuple(LabelCount(label=one.name, pictures=count) for one, count in counted),
            shown=tuple(self._shown(one, tagger) for one in looked.shown),
            examples=0 if examples is None else len(examples.pictures),
            skipped=tuple(skipped),
            troubles=self._troubles(collection),
        )

    def _troubles(self, collection: Collection) -> tuple[str, ...]:
        """Of taggings that give nothing, as they cannot be read."""
        folder, card = collection.folder.tags, collection.card
        _, troubles = usable_taggings(folder, card.encoder_id, card.dim)
        return tuple(self._placed(folder, one) for one in troubles.values())

    def _placed(self, folder: Path, text: str) -> str:
        """A text without where the taggings lie, for those who may not know."""
        return text if self.paths else text.replace(f"{folder}{os.sep}", "")

    def _shown(self, one: Labelled, tagger: Tagger) -> LabelledPicture:
        return LabelledPicture(
            id=one.id,
            uri=one.uri if self.paths else PurePath(one.uri).name,
            caption=one.caption,
            labels=tuple(
                LabelChance(label=tagger.labels[given.label].name, chance=given.chance)
                for given in one.given
            ),
        )


def _usable(collection: Collection, name: str) -> Tagging:
    """A tagging that can be used; raises Damaged."""
    card = collection.card
    return usable_tagging(collection.folder.tags, name, card.encoder_id, card.dim)


# Labels and examples.


def _made(
    collection: Collection, options: TagOptions | LabelledOptions
) -> tuple[Tagger, Examples | None, list[str]]:
    """A tagger as it is asked for, its examples, and what is said of those that are none."""
    given = _read_examples(options.examples)
    labels = _labels(options, given)
    examples, skipped = _found(collection, given, labels)
    tagger = make_tagger(
        labels,
        collection.encoder,
        collection.known(),
        examples,
        single=options.single,
        least=options.least,
    )
    return tagger, examples, skipped


def _place(after: str) -> Place | None:
    """Where a page begins; raises InvalidInput."""
    if not after:
        return None
    if not (parts := re.fullmatch(r"(\d{1,9})-(\d{1,9})", after, re.ASCII)):
        raise InvalidInput(f"{after!r} is no place in a collection; give the `next` of a page")
    return Place(*map(int, parts.groups()))


def _labels(
    options: TagOptions | LabelledOptions, examples: Sequence[tuple[str, str]]
) -> tuple[Label, ...]:
    """The labels that are asked for; without a list those of the examples, in their order."""
    if not options.labels.strip() and examples:
        named = {folded(label): label for _, label in reversed(examples)}
        return checked_labels(label_of(label) for label in reversed(named.values()))
    labels = read_labels(options.labels)
    known = {folded(one.name) for one in labels}
    for _, label in examples:
        if folded(label) not in known:
            raise InvalidInput(
                f"the examples have the label {label!r}, which is not in the list; add it there"
            )
    return labels


def _read_examples(text: str) -> list[tuple[str, str]]:
    """The pictures and their labels; raises InvalidInput, naming the line."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        picture, _, label = (part.strip() for part in line.rpartition("\t"))
        if not (picture and label):
            raise InvalidInput(
                f"line {number} of the examples is {legible(line.strip())[:80]!r}; write a "
                "picture, a tab and a label"
            )
        found.append((picture, label))
    if len(found) > MOST_EXAMPLES:
        raise InvalidInput(
            f"there are {len(found):,} examples, the limit is {MOST_EXAMPLES:,}; a few for each "
            "label are enough"
        )
    return found


def _found(
    collection: Collection, given: Sequence[tuple[str, str]], labels: Sequence[Label]
) -> tuple[Examples | None, list[str]]:
    """The examples with their vectors, and what is said of those that could not be used."""
    if not given:
        return None, []
    place = {folded(one.name): at for at, one in enumerate(labels)}
    ids = _ids(collection, [picture for picture, _ in given])
    skipped: list[str] = []
    holding: dict[str, set[int]] = {}
    for picture, label in given:
        if (key := ids.get(picture)) is None:
            skipped.append(f"{picture}: not in this collection, or several are called so")
        else:
            holding.setdefault(key, set()).add(place[folded(label)])
    hits = collection.images.get(list(holding), with_vectors=True)
    rows = [(hit.vector, holding[hit.id]) for hit in hits if hit.vector is not None]
    if not rows:
        raise InvalidInput(
            f"none of the {len(given):,} examples is a picture of this collection; ingest them "
            "first, and name each by its id, the path of its file or its name"
        )
    holds = np.zeros((len(rows), len(labels)), np.bool_)
    for row, (_, own) in enumerate(rows):
        holds[row, list(own)] = True
    if len(skipped) > _TOLD_OF:
        rest = len(skipped) - _TOLD_OF
        skipped = [*skipped[:_TOLD_OF], f"and {rest:,} more"]
    return Examples(np.array([vector for vector, _ in rows], np.float32), holds), skipped


def _ids(collection: Collection, named: Sequence[str]) -> dict[str, str]:
    """The ids of pictures that are named by id, path or a source's name; without those of none."""
    there = collection.images.get([one for one in dict.fromkeys(named) if _is_id(one)])
    found = {hit.id: hit.id for hit in there}
    with Ledger.read(collection.folder) as ledger:
        for one in named:
            if one in found:
                continue
            file = file_named(ledger, one)
            known = [file.picture] if file else ledger.named(one)
            if len(known) == 1:
                found[one] = picture_id(known[0].sha256)
    return found


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
