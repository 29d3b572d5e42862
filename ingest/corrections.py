"""What follows from an owner's corrections: they are taken in, found at once, learned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from time import monotonic

import numpy as np
from pydantic import TypeAdapter, ValidationError

from corpus.corrected import history
from corpus.corrections import (
    Correction,
    correction_of,
    forget_waiting,
    keep_waiting,
    stands,
    waiting,
    write_corrections,
)
from corpus.ledger import Ledger
from corpus.lock import writing
from engine.alignment.alignment import Alignment
from engine.alignment.cross_validation import Choice
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import AlignmentError, InvalidInput
from engine.files import remove_partials, write_whole
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.types import Encoder
from ingest.corrected_pairs import PairsChanged, changed_pairs
from ingest.fit import drifted, fit_if_needed, held_out_score
from ingest.push import PushReport, push

CHOSEN_ANEW = 2_000
"""Up to so many pairs the map is chosen anew after each correction, which takes a moment; of more
it is refitted as it was chosen, and chosen anew once they have changed by a twentieth."""

_KEPT = 1_000


@dataclass(frozen=True)
class Learned:
    """A collection's map after so many corrections.

    `score` is the mean reciprocal rank that it had on `held_out` pairs (see
    `engine.alignment.cross_validation`), `without` that of the best map on the same pairs that is
    not learned from any; None where that was not measured.
    """

    when: str
    corrections: int
    method: str
    reason: str
    score: float | None = None
    held_out: int = 0
    seconds: float = 0.0
    without: float | None = None


_LEARNED = TypeAdapter(Learned)


def note_correction(folder: CollectionFolder, correction: Correction) -> None:
    """Keep a correction, safe on disk, for who next writes the collection."""
    keep_waiting(folder.corrections, correction)


def undo_of(folder: CollectionFolder, sha256: str, who: str) -> Correction:
    """What takes the last correction of a picture back; raises InvalidInput where none stands."""
    last = stands(corrections_of(folder, sha256))
    if last is None:
        raise InvalidInput("no correction of this picture stands, so there is nothing to undo")
    return correction_of(sha256, "undone", replaced=last.text, who=who, undoes=last.id)


def corrections_of(folder: CollectionFolder, sha256: str) -> list[Correction]:
    """All that was said of a picture, in order: also what waits to be taken in."""
    late = [one for one in waiting(folder.corrections) if one.sha256 == sha256]
    with Ledger.read(folder) as ledger:
        found = history(ledger.corrected, ledger.corrections(), sha256)
    known = {one.id for one in found}
    return [*found, *(one for one in late if one.id not in known)]


def take_in(folder: CollectionFolder, encoder: Encoder) -> list[Correction]:
    """Take what waits into a shard of its own; what was taken in.

    Killed at any moment and done again, each is there once. Raises StoreLocked while another
    writes: it goes on waiting.
    """
    if not waiting(folder.corrections):
        return []
    with writing(folder), Ledger.open(folder) as ledger:
        there = waiting(folder.corrections)
        new = [one for one in there if not ledger.corrected.has(one.id)]
        if new:
            vectors = np.zeros((len(new), encoder.dim), np.float16)
            told = [at for at, one in enumerate(new) if one.text]
            if told:
                vectors[told] = encoder.encode_texts([new[at].text for at in told])
            commit = ledger.next_commit()
            file = write_corrections(
                folder.corrections,
                ledger.corrected.next_shard(),
                new,
                vectors,
                commits=[commit] * len(new),
                encoder_id=encoder.id,
            )
            ledger.add_corrections(file)
        forget_waiting(folder.corrections, there)
        return new


def level(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    on_progress: OnProgress = silent,
) -> PushReport | None:
    """Let the index show and find what is new, under the map that it has; None without an index."""
    if not folder.alignment.is_file():
        return None
    return push(folder, card, settings, keep_map=True, on_progress=on_progress)


def learn(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    on_progress: OnProgress = silent,
) -> Learned | None:
    """Fit the map on what the corrections add, and bring the index level with it.

    None where nothing is to be learned from: no map yet, or one that was taken from elsewhere.
    Raises StoreLocked while another writes.
    """
    started = monotonic()
    with writing(folder):
        try:
            before = Alignment.load(folder.alignment)
        except AlignmentError:
            return None
        asked = before.fitted_on.get("request") or {}
        if asked.get("other"):
            return None
        made = refit(folder, card, before, on_progress)
        push(folder, card, settings, on_progress=on_progress)
        with Ledger.open(folder) as ledger:
            corrections = ledger.corrected.count()
        lent = _choices_of_memory(folder, card)
        if not learned(folder):
            _note(folder, _told(before, 0, lent))
        done = replace(_told(made, corrections, lent), seconds=monotonic() - started)
        _note(folder, done)
        return done


def refit(
    folder: CollectionFolder,
    card: CollectionCard,
    before: Alignment,
    on_progress: OnProgress = silent,
) -> Alignment:
    """The map for the pairs as they are now, saved.

    A large collection's is refitted as it was chosen, on its moments with what the corrections add
    and take away; a small one's is chosen anew.
    """
    with writing(folder):
        made = _in_closed_form(folder, before)
        if made is None:
            made, _ = fit_if_needed(folder, card, on_progress=on_progress, anew=True)
        return made


def _in_closed_form(folder: CollectionFolder, before: Alignment) -> Alignment | None:
    """The map refitted as it was chosen; None where it must be chosen anew."""
    if before.n <= CHOSEN_ANEW or not before.choices:
        return None
    with Ledger.open(folder) as ledger:
        if drifted(ledger, before.fitted_on):
            return None
        try:
            moments = changed_pairs(folder, ledger, before)
        except PairsChanged:
            return None
        found = Alignment.fit(moments, before.method, strength=before.strength)
        made = replace(
            before,  # with what else was chosen then, and its bank
            mean_image=found.mean_image,
            mean_text=found.mean_text,
            matrix=found.matrix,
            n=found.n,
            n_images=found.n,
            n_captions=found.n,
            created=found.created,
            fitted_on={**before.fitted_on, "learned": ledger.last_commit()},
        )
        remove_partials(folder.path, folder.alignment.name)
        made.save(folder.alignment)  # first: whoever begins anew finds the moments at hand
        moments.save(folder.moments)
        return made


def learned(folder: CollectionFolder) -> list[Learned]:
    """What was learned so far, the earliest first: before any correction."""
    try:
        lines = (folder.corrections / "learned.jsonl").read_text(encoding="utf-8").splitlines()
        return [_LEARNED.validate_json(line) for line in lines]
    except (OSError, ValidationError):
        return []


def _note(folder: CollectionFolder, done: Learned) -> None:
    every: Sequence[Learned] = [*learned(folder), done]
    if len(every) > _KEPT:
        every = [every[0], *every[-_KEPT + 1 :]]
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in every)
    folder.corrections.mkdir(parents=True, exist_ok=True)
    write_whole(folder.corrections / "learned.jsonl", "".join(lines))


def _choices_of_memory(folder: CollectionFolder, card: CollectionCard) -> tuple[Choice, ...]:
    if not card.memory:
        return ()
    try:
        return tuple(Alignment.load(folder.sibling(card.memory).alignment).choices)
    except AlignmentError:
        return ()


def _told(made: Alignment, corrections: int, lent: tuple[Choice, ...]) -> Learned:
    """`lent`: what the memory's map was chosen from, on the memory's pairs: no gain of these."""
    tried = () if tuple(made.choices) == lent else made.choices
    chosen = next((one for one in tried if one.chosen), None)
    return Learned(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        corrections=corrections,
        method=made.method,
        reason=made.reason,
        score=held_out_score(made) if chosen else None,
        held_out=chosen.held_out if chosen else 0,
        without=_without(made) if chosen else None,
    )


def _without(made: Alignment) -> float:
    """What was worth most of the maps that owe nothing to the held-out pairs' collection.

    The first that was tried is raw, or the map that was there before any pair.
    """
    first = made.choices[0]
    tried = [one for one in made.choices if one is first or one.method == "centred"]
    return max(one.score for one in tried if not one.hub_strength)
