"""A small encoder that needs no model, and small worlds of pictures for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from corpus.records import ImageRecord
from engine.collection import CollectionCard, CollectionFolder
from engine.identity import content_key
from engine.models.loaded import Models
from engine.settings import Settings
from engine.store.holes import filled
from engine.types import CaptionResult, Encoder, MadeWith, Vectors

DIM = 16
_ZEROS = bytes(1 << 16)


class PixelEncoder:
    """Vectors that follow from the pixels and from the letters; counts what it encodes."""

    def __init__(self, identifier: str = "pixels", dim: int = DIM) -> None:
        self.id = identifier
        self.dim = dim
        self.pictures = 0
        self.texts: list[str] = []
        self.fails_at = -1
        self._projection = np.random.default_rng(0).normal(size=(48, dim))

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        if self.pictures <= self.fails_at < self.pictures + len(images):
            raise RuntimeError("out of memory")
        self.pictures += len(images)
        pixels = [np.asarray(image.resize((4, 4))).reshape(-1) / 255 - 0.5 for image in images]
        return _unit(np.array(pixels).reshape(-1, 48) @ self._projection)

    def encode_texts(self, texts: list[str]) -> Vectors:
        self.texts += texts
        seeds = [int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) for text in texts]
        rows = [np.random.default_rng(seed).normal(size=self.dim) + 1 for seed in seeds]
        return _unit(np.array(rows).reshape(-1, self.dim))


class Gate(PixelEncoder):
    """An encoder that waits before each batch of pictures until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.open = Event(), Event()
        self.open.set()

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        self.entered.set()
        assert self.open.wait(20)
        return super().encode_images(images)


class OneEncoder(Models):
    """Knows one encoder, whatever is asked for."""

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings)
        self._encoder = encoder

    def encoder(self, spec: str) -> Encoder:
        del spec
        return self._encoder


class PlainDescriber:
    """Describes a picture by the place where its vector is greatest."""

    def __init__(self) -> None:
        self.described = 0
        self.silent_about: set[int] = set()
        self.made_with = MadeWith()

    def describe_vectors(self, raw: Vectors) -> list[CaptionResult]:
        numbers = range(self.described, self.described + len(raw))
        self.described += len(raw)
        texts = [
            "" if number in self.silent_about else f"a picture of kind {int(vector.argmax())}"
            for number, vector in zip(numbers, raw, strict=True)
        ]
        return [CaptionResult(text, (), (), "", "mapped", {}, self.made_with) for text in texts]


def _unit(rows: np.ndarray) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def paint(path: Path, seed: int) -> None:
    """A PNG of noise; each seed another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def key_of(record: ImageRecord) -> str:
    """What a picture's captions are filed under."""
    return content_key(sha256(record.path.read_bytes()).hexdigest())


def record(path: Path, captions: Sequence[str] = (), split: str = "") -> ImageRecord:
    return ImageRecord(path.name, str(path), path, tuple(captions), split)


@pytest.fixture
def encoder() -> PixelEncoder:
    return PixelEncoder()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def other_encoder() -> PixelEncoder:
    return PixelEncoder("other pixels")


@pytest.fixture
def describer() -> PlainDescriber:
    return PlainDescriber()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", batch_size=4, workers=2, qdrant_url="")


@pytest.fixture
def folder(settings: Settings) -> CollectionFolder:
    folder = CollectionFolder(settings.home, "noise")
    folder.path.mkdir(parents=True)
    return folder


@pytest.fixture
def card(folder: CollectionFolder, encoder: PixelEncoder) -> CollectionCard:
    card = CollectionCard(folder.name, "spec", encoder.id, encoder.dim, "consensus")
    folder.write_card(card)
    return card


def picture_records(
    place: Path, n: int, *, captions: int = 0, first: int = 0, split: str = ""
) -> list[ImageRecord]:
    """Paint `n` pictures, each with `captions` captions, into a folder, and give their records."""
    records = []
    for seed in range(first, first + n):
        path = place / f"{seed:04d}.png"
        if not path.exists():
            paint(path, seed)
        texts = [f"caption {i} of picture {seed}" for i in range(captions)]
        records.append(record(path, texts, split))
    return records


def copied_tree(
    source: Path, target: Path, *, ignore: Callable[[str, list[str]], Iterable[str]] | None = None
) -> Path:
    """Copy a home to where nothing is, but for the zeros of which an index has 140 MB."""
    shutil.copytree(source, target, copy_function=_copied, ignore=ignore)
    return target


def _copied(source: str, target: str) -> None:
    with Path(source).open("rb", buffering=0) as given, Path(target).open("wb") as taken:
        for start, end in filled(given.fileno()):
            given.seek(start)
            taken.seek(start)
            while block := given.read(min(end - given.tell(), len(_ZEROS))):
                if block == _ZEROS[: len(block)]:
                    taken.seek(len(block), os.SEEK_CUR)
                else:
                    taken.write(block)
        taken.truncate(os.fstat(given.fileno()).st_size)
    shutil.copystat(source, target)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., list[ImageRecord]]:
    """Paint `n` pictures, each with `captions` captions, and give their records."""
    return partial(picture_records, tmp_path / "pictures")


@pytest.fixture
def painted() -> Callable[[Path, int], None]:
    return paint
