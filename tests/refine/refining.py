"""A refinement without models: what is written says itself what it is worth."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import qdrant_edge as edge
from PIL import Image

from corpus.parquet import shard_files
from engine.collection import CollectionFolder
from engine.identity import PictureIdentity
from engine.store.edge_folder import acquire_shard, release_shard
from engine.store.generations import current
from engine.store.interface import INDEXES
from engine.types import CaptionResult, Encoder, Vectors
from refine.rounds import read_rounds
from refine.yardstick import Values

_WORTH = re.compile(r"worth (-?[\d.]+)", re.IGNORECASE)


class TwoTongues:
    """An encoder for which what the scripted writer writes is far from all that people write."""

    def __init__(self, plain: Encoder) -> None:
        self._plain = plain
        self.id, self.dim = plain.id, plain.dim
        self.same: dict[str, str] = {}

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        return self._plain.encode_images(images)

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Texts in `same` mean what the text there means."""
        vectors = self._plain.encode_texts([self.same.get(text, text) for text in texts])
        drafted = np.array([bool(_WORTH.match(self.same.get(text, text))) for text in texts], bool)
        vectors[drafted] -= vectors[drafted].mean(axis=1, keepdims=True)
        vectors[drafted] /= np.linalg.norm(vectors[drafted], axis=1, keepdims=True)
        return vectors


class ScriptedWriter:
    """Writes "worth W, take T, of PICTURE", where T counts the rounds that stand.

    Validation pictures (whose ids begin with "val") are worth `validation[T]`, others what
    `training` says of their id and T.
    """

    def __init__(
        self,
        folder: CollectionFolder,
        validation: Sequence[float],
        training: Callable[[str, int], float],
    ) -> None:
        self._folder = folder
        self._validation = validation
        self._training = training
        self.excluded: list[PictureIdentity] = []
        self.made = self.written = 0

    def make(self) -> ScriptedWriter:
        self.made += 1
        return self

    def describe_vectors(
        self, raw: Vectors, *, exclude: Sequence[PictureIdentity] | None = None
    ) -> list[CaptionResult]:
        assert exclude is not None
        assert len(exclude) == len(raw)
        self.excluded += exclude
        self.written += len(raw)
        return [CaptionResult(self.text(*own.names), (), (), "", "mapped", {}) for own in exclude]

    def text(self, image_id: str) -> str:
        take = len(shard_files(self._folder.rounds))
        held_out = image_id.startswith("val")
        worth = self._validation[take] if held_out else self._training(image_id, take)
        return f"worth {worth}, take {take}, of {image_id}"


class WorthScore:
    """Scores captions by what they say that they are worth; remembers the references."""

    def __init__(self) -> None:
        self.references: list[str] = []
        self.calls = 0

    def __call__(
        self, captions: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[str]
    ) -> Mapping[str, Values]:
        self.calls += 1
        self.references += [text for texts in references for text in texts]
        worth = [float(match[1]) for match in map(_WORTH.search, captions) if match]
        assert len(worth) == len(captions)
        return {metric: np.array(worth) for metric in metrics}


class Nearly(float):
    """A number that sums in another order leave the same: those of a batch depend on its size."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(self - other) < 1e-5

    __hash__ = float.__hash__


def points(
    folder: CollectionFolder, names: Sequence[str] = INDEXES, most: int = 10_000
) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Every point of indexes as it lies on disk: payload, words, and vectors bit for bit."""
    found = {}
    answers = current(folder)
    assert answers is not None
    for name in names:
        opened = acquire_shard(answers.index(name), folder.name, 0)
        request = edge.ScrollRequest(limit=most, with_payload=True, with_vector=True)
        records, rest = opened.shard.scroll(request)
        release_shard(opened)
        assert rest is None
        for record in records:
            vectors: Any = record.vector
            words = vectors.pop("bm25", None)
            dense = {key: np.array(row, np.float32).tobytes() for key, row in vectors.items()}
            said = None if words is None else (list(words.indices), list(words.values))
            payload = dict(record.payload or {})
            if "hub" in payload:
                payload["hub"] = Nearly(payload["hub"])
            told = (payload, dense, said)
            found[name, str(record.id)] = told
    return found


def outcome(folder: CollectionFolder) -> list[dict[str, Any]]:
    """The records of all rounds, but for when they were made."""
    left_out = {"began", "seconds"}
    return [
        {key: value for key, value in vars(one).items() if key not in left_out}
        for one in read_rounds(folder)
    ]
