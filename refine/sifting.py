"""Which of the captions that were written a refinement round adds: good, new, not too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from corpus.described import Refined
from corpus.entry import captions_key
from corpus.ledger import Ledger
from corpus.refined import RefinedReader
from corpus.shards import Halves, Shard
from engine.collection import CollectionFolder
from engine.describe.retriever import CaptionSearch
from engine.types import TRAINING_SPLITS, Encoder, Filters, Vectors
from engine.vectors import unit
from engine.words import content_words, spelled_words
from refine.drafts import Draft

COPY_QUANTILE = 0.95
COPY_COSINE = 0.95
"""The cosine of near copies where no two captions of one picture tell how people write."""

_NEAREST = 16


@dataclass(frozen=True)
class Sifted:
    """What a round adds, and why the rest of what scored well was left out."""

    refined: tuple[Refined, ...]
    vectors: Halves = field(repr=False)
    reached: int
    copies: int
    capped: int
    copy_cosine: float


def sift(
    drafts: Sequence[Draft],
    scores: Sequence[float],
    threshold: float,
    *,
    folder: CollectionFolder,
    ledger: Ledger,
    encoder: Encoder,
    stores: Sequence[CaptionSearch],
    share: float,
) -> Sifted:
    """Keep the drafts that score the threshold or more, but for near copies and those too many.

    A near copy says in the same words what a caption of the training splits in one of the
    `stores` says, or a better draft; or it lies nearer to a caption of its own picture than 19
    of 20 captions that people wrote for one picture lie to each other. (That scale is the
    encoder's own: two ways to say one thing have a cosine of .85 with one and .999 with another.)
    Of a picture's captions at most `share` are generated. The best drafts come first.
    """
    pairs = zip(drafts, map(float, scores), strict=True)
    good = [(draft, score) for draft, score in pairs if score >= threshold]
    texts = [draft.text for draft, _ in good]
    vectors = _encoded(encoder, texts)
    said = _said(folder, ledger, [draft for draft, _ in good], vectors)
    repeated = _repeated(stores, texts, vectors)
    new: set[tuple[str, ...]] = set()
    chosen: list[int] = []
    copies = capped = 0
    for at in sorted(range(len(good)), key=lambda at: (-good[at][1], good[at][0].image_id)):
        words = content_words(texts[at])
        if (
            not spelled_words(texts[at])
            or words in new
            or repeated[at]
            or said.nearest[at] > said.copy_cosine
        ):
            copies += 1
        elif said.generated[at] >= most_generated(len(good[at][0].references), share):
            capped += 1
        else:
            new.add(words)
            chosen.append(at)
    chosen.sort()  # as their pictures lie in the shards
    refined = tuple(_refined(*good[at]) for at in chosen)
    kept = np.asarray(vectors[chosen], np.float16)
    return Sifted(refined, kept, len(good), copies, capped, said.copy_cosine)


def most_generated(human: int, share: float) -> int:
    """How many generated captions a picture with so many of people may have."""
    return int(human * share / (1 - share) + 1e-9)


def _refined(draft: Draft, score: float) -> Refined:
    return Refined(draft.sha256, captions_key(draft.references), draft.text, score)


def _encoded(encoder: Encoder, texts: list[str]) -> Vectors:
    if not texts:
        return np.empty((0, encoder.dim), np.float32)
    return encoder.encode_texts(texts)


def _repeated(
    stores: Sequence[CaptionSearch], texts: Sequence[str], vectors: Vectors
) -> list[bool]:
    """Whether a caption that can be borrowed says the same words: its vector is among the nearest.

    Held-out captions are not looked at: they shall not decide what is added.
    """
    filters = Filters(proven=True, splits=TRAINING_SPLITS)
    found = [False] * len(texts)
    for store in stores:
        hits = store.search(vectors, "raw", _NEAREST, filters)
        for at, (text, near) in enumerate(zip(texts, hits, strict=True)):
            words = content_words(text)
            found[at] = found[at] or any(content_words(hit.text) == words for hit in near)
    return found


@dataclass(frozen=True)
class _Said:
    """How the captions that pictures have already bear on their drafts, row by row.

    `nearest`: the greatest cosine of the draft with one of them; `generated`: how many of them
    refinement added. `copy_cosine`: from where on captions are copies.
    """

    nearest: NDArray[np.float64]
    generated: NDArray[np.int64]
    copy_cosine: float


def _said(
    folder: CollectionFolder, ledger: Ledger, drafts: Sequence[Draft], vectors: Vectors
) -> _Said:
    """Read every shard once."""
    rows = {draft.sha256: row for row, draft in enumerate(drafts)}
    nearest = np.full(len(drafts), -1.0)
    generated = np.zeros(len(drafts), np.int64)
    alike: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    refined = RefinedReader(folder.rounds)
    for number, places in ledger.in_splits(TRAINING_SPLITS):
        shard = Shard(ledger.shard(number))
        captions = unit(shard.captions)
        added = refined.by_picture(ledger.refined.standing_in(number))
        for place in places:
            own = captions[shard.span(place)]
            alike.append((own @ own.T)[np.triu_indices(len(own), 1)])
            row = rows.get(shard.sha256s[place].hex())
            if row is not None:
                more = [unit(vector[None]) for _, _, vector in added.get(place, ())]
                nearest[row] = (np.concatenate([own, *more]) @ vectors[row]).max()
                generated[row] = len(more)
    cosines = np.concatenate(alike)
    limit = float(np.quantile(cosines, COPY_QUANTILE)) if len(cosines) else COPY_COSINE
    return _Said(nearest, generated, limit)
