"""One domain tried out: its pictures through the program's engine, with one map after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.alignment.alignment import Alignment, Fold, Method, PairMoments
from engine.alignment.distractors import Distractors
from engine.collection import CollectionCard, CollectionFolder
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.retriever import Retriever
from engine.settings import Settings
from engine.store import CaptionStore, caption_id, open_caption_store
from engine.types import CaptionPoint, Encoder, Generator, Vectors
from sample.world.reading import check_caption
from sample.world.scenes import Meaning

FOLDS = 5

Outcomes = npt.NDArray[np.float64]
"""(n,) one number a picture, between 0 and 1."""


@dataclass(frozen=True)
class Part:
    """Pictures of one split, embedded: `captions` is (n, 5, dim)."""

    images: Vectors
    captions: Vectors
    meanings: Sequence[Meaning]


@dataclass(frozen=True)
class Memory:
    """The captions that describe pictures, embedded once for all trials."""

    texts: Sequence[str]
    vectors: Vectors


@dataclass(frozen=True)
class Outcome:
    """How one map did: for each test picture, what came out right."""

    method: str
    reason: str
    caption: Outcomes  # the generated caption is fully right
    top: Outcomes  # the nearest caption of the memory is fully right
    to_caption: Outcomes  # R@1 picture -> caption among the test captions
    to_picture: Outcomes  # R@1 back, mean over the picture's captions


def embed(
    encoder: Encoder,
    pictures: list[Image.Image],
    captions: Sequence[Sequence[str]],
    meanings: Sequence[Meaning],
) -> Part:
    """Embed pictures and their captions."""
    texts = encoder.encode_texts([text for told in captions for text in told])
    shape = (len(captions), -1, texts.shape[1])
    return Part(encoder.encode_images(pictures), texts.reshape(shape), meanings)


def _moments(part: Part, rows: npt.NDArray[np.intp]) -> PairMoments:
    moments = PairMoments(part.images.shape[1])
    told = part.captions[rows]
    moments.update(part.images[rows], told.mean(axis=1), np.full(len(rows), told.shape[1]))
    return moments


def fit(train: Part, memory: Memory, method: Method | Literal["auto"]) -> Alignment:
    """Fit a map on the training pairs, choosing by cross-validation where there is a choice."""
    distractors = Distractors(train.images.shape[1])
    distractors.update(memory.texts, memory.vectors)
    order = np.random.default_rng(0).permutation(len(train.images))
    folds = [
        Fold(_moments(train, rows), train.images[rows], train.captions[rows, 0])
        for rows in np.array_split(order, FOLDS)
    ]
    return Alignment.fit(
        _moments(train, order), method, folds=folds, distractors=distractors.captions
    )


def _hits(scores: npt.NDArray[np.float32], per_picture: int) -> tuple[Outcomes, Outcomes]:
    """R@1 both ways, by picture, from scores (n, n * per_picture)."""
    own = np.arange(len(scores))
    owner = np.repeat(own, per_picture)
    to_caption = owner[scores.argmax(axis=1)] == own
    to_picture = (scores.argmax(axis=0) == owner).reshape(-1, per_picture).mean(axis=1)
    return to_caption.astype(np.float64), to_picture


def _recall(alignment: Alignment, test: Part) -> tuple[Outcomes, Outcomes]:
    texts = test.captions.reshape(-1, test.captions.shape[-1])
    scores = alignment.map_images(test.images) @ alignment.map_texts(texts).T
    return _hits(scores, test.captions.shape[1])


def fill_store(
    home: Path, name: str, memory: Memory, alignment: Alignment, encoder: Encoder
) -> CaptionStore:
    """Write the memory into an embedded store, mapped by this alignment."""
    card = CollectionCard(name, "sample", encoder.id, encoder.dim, "sample")
    settings = Settings(home=home)
    store = open_caption_store(CollectionFolder(home, name), card, settings, create=True)
    mapped = alignment.map_texts(memory.vectors)
    store.upsert(
        [
            CaptionPoint(caption_id("", text, "human"), text, raw, row)
            for text, raw, row in zip(memory.texts, memory.vectors, mapped, strict=True)
        ]
    )
    return store


def _right(texts: Sequence[str], meanings: Sequence[Meaning]) -> Outcomes:
    verdicts = [check_caption(text, truth).all for text, truth in zip(texts, meanings, strict=True)]
    return np.array(verdicts, np.float64)


def try_map(
    home: Path,
    name: str,
    alignment: Alignment,
    test: Part,
    memory: Memory,
    encoder: Encoder,
    generator: Generator,
    options: DescribeOptions,
) -> Outcome:
    """Describe every test picture by one map, and count what is right."""
    with fill_store(home, name, memory, alignment, encoder) as store:
        retriever = Retriever([store], alignment)
        captioner = Captioner(encoder, alignment, retriever, generator, options)
        results = captioner.describe_vectors(test.images)
    to_caption, to_picture = _recall(alignment, test)
    return Outcome(
        method=name,
        reason=alignment.reason,
        caption=_right([result.caption for result in results], test.meanings),
        top=_right([result.retrieved[0].text for result in results], test.meanings),
        to_caption=to_caption,
        to_picture=to_picture,
    )
