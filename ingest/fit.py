"""Fits a collection's map on its pairs, or borrows one, or makes do with means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from corpus.ledger import Census, Ledger
from corpus.lock import writing
from corpus.pairs import Gathered, gather, read_distractors
from engine.alignment.alignment import Alignment
from engine.alignment.closed_form import AnyMethod
from engine.alignment.distractors import SIZE
from engine.alignment.hubs import Bank
from engine.alignment.towards import FEWEST, moved
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import AlignmentError, CollectionMissing, IncompatibleIndex, InvalidInput
from engine.files import remove_partials
from engine.progress import OnProgress, silent
from engine.store.generations import current

ENOUGH = 25
"""From so many pictures on a map is fitted on pairs, or a mean taken of pictures.

Measured on the real CLIP vectors of 500 COCO pictures: centred by the mean of n pictures,
mean reciprocal rank picture to caption is .64 at n = 2, .69 at 5, .70 at 10, .71 from 15 to
25 on, and .72 without centring: the mean of a few pictures says more of them than of the gap.
"""

_DRIFT = 0.05
"""While the pairs changed by less than this share since the fit, an ingest keeps the map."""


def fit(
    folder: CollectionFolder,
    card: CollectionCard,
    *,
    method: AnyMethod = "auto",
    strength: float | None = None,
    other: str = "",
    on_progress: OnProgress = silent,
) -> Alignment:
    """Fit the map and save it with its moments; its `reason` says how it came about.

    A collection with a memory takes the memory's map, if that has pairs; its own pairs move that
    on the side of the pictures, where held-out ones tell that it helps. Else, with captions
    to enough pictures of the training splits, it is fitted on these pairs. With fewer, `auto`
    centres by the mean of the pictures and the mean of the captions (the memory's, or the
    collection's own), or takes `raw`. `other` names a collection whose map is taken as it is.

    Raises AlignmentError where the method asked for cannot be fitted, CollectionMissing and
    IncompatibleIndex where another collection's map cannot be taken.
    """
    with writing(folder), Ledger.open(folder) as ledger:
        gathered = gather(folder, ledger, card.dim, on_progress)
        if other:
            alignment = _borrow(folder, card, other)
        else:
            alignment = _made(gathered, folder, card, method, strength)
            remove_partials(folder.path, folder.moments.name)
            gathered.total().save(folder.moments)
        request = _request(folder, card, method, strength, other)
        alignment = replace(
            alignment,
            bank=_bank(gathered.bank, alignment.bank),
            fitted_on=_fitted_on(ledger, request),
        )
        remove_partials(folder.path, folder.alignment.name)
        alignment.save(folder.alignment)
        return alignment


def fit_if_needed(
    folder: CollectionFolder,
    card: CollectionCard,
    *,
    method: AnyMethod = "auto",
    other: str = "",
    anew: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[Alignment, bool]:
    """The map, fitted again only if what it was fitted on has changed; and whether it was.

    A few new pairs among many change nothing that can be seen, but cost a push of everything:
    the map is kept until they are a twentieth. What was asked for at an earlier fit (a method,
    another collection's map) is asked for again unless it is named anew. `anew`: whatever changed.
    """
    with writing(folder), Ledger.open(folder) as ledger:
        known, strength = _loaded(folder), None
        asked = known.fitted_on.get("request") if known is not None else None
        if asked and method == "auto" and not other:
            method, strength, other = asked["method"], asked["strength"], asked["other"]
        request = _request(folder, card, method, strength, other)
        is_kept = known is not None and not anew and asked == request
        if known is not None and is_kept and not drifted(ledger, known.fitted_on):
            return known, False
        made = fit(
            folder, card, method=method, strength=strength, other=other, on_progress=on_progress
        )
        return made, True


def _loaded(folder: CollectionFolder) -> Alignment | None:
    """The collection's map; None where there is none or it is damaged: it can be made again."""
    try:
        return Alignment.load(folder.alignment)
    except AlignmentError:
        return None


def _made(
    gathered: Gathered,
    folder: CollectionFolder,
    card: CollectionCard,
    method: AnyMethod,
    strength: float | None,
) -> Alignment:
    if card.memory:
        known = _for_memory(gathered, _load_memory(folder, card), card, method)
        return _moved(known, gathered, folder, card) if method == "auto" else known
    if gathered.pictures >= ENOUGH or method not in {"auto", "centred", "raw"}:
        fitted = Alignment.fit(
            gathered.total(),
            method,
            strength=strength,
            folds=gathered.folds(),
            distractors=gathered.distractors.captions,
            encoder_id=card.encoder_id,
            source=f"collection {card.name}",
        )
        if method != "auto" or 2 * gathered.pictures > gathered.images.n:
            return fitted
        # Of most pictures only their vectors are known, which a map of the pairs alone passes over.
        known = _of_means(gathered, folder, card, method)
        return max(fitted, known, key=held_out_score)
    return _of_means(gathered, folder, card, method)


def held_out_score(made: Alignment) -> float:
    """What a map that was chosen was worth on held-out pairs, with nothing taken off for hubs."""
    chosen = next((one for one in made.choices if one.chosen), None)
    if chosen is None:
        return 0.0
    alike = (one for one in made.choices if one.method == chosen.method)
    return max(
        (one.score for one in alike if one.strength == chosen.strength and not one.hub_strength),
        default=0.0,
    )


def _of_means(
    gathered: Gathered, folder: CollectionFolder, card: CollectionCard, method: AnyMethod
) -> Alignment:
    """A map that needs no pairs, moved towards those that there are."""
    texts = Alignment.from_means(
        None,
        gathered.captions.value,
        n_images=0,
        n_captions=gathered.captions.n,
        encoder_id=card.encoder_id,
        source=f"collection {card.name}",
    )
    known = _unpaired(gathered, texts, method)
    return _moved(known, gathered, folder, card) if method == "auto" else known


def _moved(
    known: Alignment, gathered: Gathered, folder: CollectionFolder, card: CollectionCard
) -> Alignment:
    """The map at hand, moved towards the collection's own pairs where that is better."""
    columns = [sample.columns for sample in gathered.samples]
    images, captions = (np.concatenate(column) for column in zip(*columns, strict=True))
    if len(images) < FEWEST or known.mean_image is None:
        return known
    among = gathered.distractors.captions
    if card.memory:
        among = read_distractors(folder.sibling(card.memory))
    made = moved(known, images, captions, among)
    return made if made.maps_like(known) else replace(made, source=f"collection {card.name}")


def _bank(own: Bank, lent: Bank | None) -> Bank:
    """The collection's own pictures and captions, as it may be of another domain than the lender.

    Of what it has too few of, the lender's.
    """
    pictures, captions = (
        mine if lent is None or len(mine[1]) >= ENOUGH else theirs
        for mine, theirs in zip(own.kinds(), (lent or own).kinds(), strict=True)
    )
    return Bank(*pictures, *captions)


def _for_memory(
    gathered: Gathered, memory: Alignment, card: CollectionCard, method: AnyMethod
) -> Alignment:
    """The memory's map: its captions lie where that map puts them, so no other would fit."""
    if method == "auto" and (memory.n or memory.method == "raw"):
        return memory
    if method == "raw" or memory.mean_image is None:
        return _unpaired(gathered, memory, method)
    raise AlignmentError(
        f"collection {card.name!r} describes from memory {card.memory!r}, whose captions lie where "
        f"that collection's map puts them; a {method} map of its own would not fit them: leave "
        "the method to auto, or ingest those captions into this collection"
    )


def _unpaired(gathered: Gathered, texts: Alignment, method: AnyMethod) -> Alignment:
    """Centred by means that need no pairs, as far as they can be had; else raw."""
    images = gathered.images
    asked = method == "centred"
    if method == "raw" or (not asked and texts.n_captions < ENOUGH):
        return _raw(texts, "raw was asked for" if method == "raw" else _few(texts, "captions"))
    if not images.n:
        return texts
    if images.n < ENOUGH and not asked:
        return _raw(texts, f"raw: the mean of {images.n} pictures (fewer than {ENOUGH}) misleads")
    return texts.with_image_mean(images.value, images.n)


def _few(texts: Alignment, what: str) -> str:
    return f"raw: no pairs, and {texts.n_captions:g} {what} (fewer than {ENOUGH}) to centre by"


def _raw(texts: Alignment, reason: str) -> Alignment:
    zeros = np.zeros(texts.dim)
    return replace(
        texts,
        method="raw",
        mean_image=zeros,
        mean_text=zeros,
        matrix=None,
        hub_strength=0.0,
        reason=reason,
    )


def _borrow(folder: CollectionFolder, card: CollectionCard, name: str) -> Alignment:
    if name == card.name:
        raise InvalidInput(f"collection {name!r} cannot take its own map; name another one")
    alignment = _load(folder, card, name)
    if alignment.mean_image is None:
        raise AlignmentError(
            f"the map of collection {name!r} knows captions only, and cannot map pictures; "
            f"use it as a memory instead: --memory {name}"
        )
    return alignment


def _load_memory(folder: CollectionFolder, card: CollectionCard) -> Alignment:
    """The map that the memory's captions were indexed with, or the one that they will be."""
    fitted = _load(folder, card, card.memory)
    answers = current(folder.sibling(card.memory))
    return fitted if answers is None else Alignment.load(answers.alignment)


def _load(folder: CollectionFolder, card: CollectionCard, name: str) -> Alignment:
    """The map that was fitted for another collection, which must be of the same encoder."""
    other = folder.sibling(name)
    encoder_id = other.read_card().encoder_id
    if encoder_id != card.encoder_id:
        raise IncompatibleIndex(
            f"collection {name!r} was made with encoder {encoder_id}, collection {card.name!r} "
            f"with {card.encoder_id}; their maps and captions do not fit each other: ingest one "
            "of them again with the other's encoder"
        )
    if not other.alignment.is_file():
        raise CollectionMissing(
            f"collection {name!r} has no map yet; finish it with: mrag fit {name}"
        )
    return Alignment.load(other.alignment)


def _request(
    folder: CollectionFolder,
    card: CollectionCard,
    method: AnyMethod,
    strength: float | None,
    other: str,
) -> dict[str, Any]:
    """What the map depends on beside the collection's own vectors."""
    borrowed = ""
    if other or card.memory:
        lent = _load(folder, card, other) if other else _load_memory(folder, card)
        borrowed = lent.fingerprint
    asked = {"method": method, "strength": strength, "other": other, "borrowed": borrowed}
    return {**asked, "hubs": True}  # maps of earlier versions have no bank: they are fitted again


def _fitted_on(ledger: Ledger, request: dict[str, Any]) -> dict[str, Any]:
    """The collection as it is now, kept with the map: it outlives the ledger."""
    return {
        "request": request,
        "census": list(ledger.census()),
        "commit": ledger.last_commit(),
        "rounds": ledger.refined.rounds(),
    }


def drifted(ledger: Ledger, state: Mapping[str, Any]) -> bool:
    """Whether too much of what the map rests on was added or superseded since it was made."""
    if state["request"]["other"]:
        return False
    if state["rounds"] != ledger.refined.rounds():
        return True
    fitted, now = Census(*state["census"]), ledger.census()
    added = ledger.census(after=state["commit"])
    if (fitted.pairs >= ENOUGH) != (now.pairs >= ENOUGH):
        return True
    counts = zip(fitted, now, added, strict=True)
    # Superseded is what was there at the fit and is neither there now nor new.
    changes = [new + was - (there - new) for was, there, new in counts]
    if now.pairs >= ENOUGH:
        # Maps are chosen among loose captions, up to so many: not again for a few more.
        among, told = min(now.loose, SIZE), min(fitted.loose, SIZE)
        return changes[1] > _DRIFT * fitted.pairs or among > 2 * told
    return any(change > _DRIFT * was for change, was in zip(changes, fitted, strict=True) if change)
