"""Pictures that nobody took, with records like those of a real collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import Vectors

DIM = 512
BLOCK = 1024
SPLITS = ("train", "val", "test")
SHARES = (0.8, 0.1, 0.1)

_SYLLABLES = ["an", "be", "cor", "da", "el", "fi", "gra", "ha", "in", "jo", "ka", "lu", "men"]
_WORDS = 20_000


@dataclass(frozen=True)
class MadeUp:
    """What is known of a picture beside its vectors."""

    image_id: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    width: int
    height: int
    taken_at: str | None
    captions: tuple[str, ...]
    split: str


@dataclass(frozen=True)
class Block:
    """Pictures with the unit vectors of their files (n, DIM) and captions (n * captions, DIM)."""

    pictures: list[MadeUp]
    images: Vectors
    texts: Vectors


def blocks(count: int, captions: int, first: int = 0, touched: int = 0) -> Iterator[Block]:
    """`count` pictures from number `first` on, the same at each call, by the block.

    `touched` is added to the time of each file: the same pictures, written again.
    """
    words = _vocabulary()
    for start in range(first, first + count, BLOCK):
        rng = np.random.default_rng(start)
        n = min(BLOCK, first + count - start)
        images, texts = _unit(rng, n), _unit(rng, n * captions)
        said = _sentences(rng, words, n * captions)
        pictures = [
            _picture(rng, start + i, tuple(said[i * captions : (i + 1) * captions]), touched)
            for i in range(n)
        ]
        yield Block(pictures, images, texts)


def _picture(
    rng: np.random.Generator, number: int, captions: tuple[str, ...], touched: int
) -> MadeUp:
    year, month, day = 2005 + number % 20, 1 + number % 12, 1 + number % 28
    image_id = f"{year}/{month:02d}/IMG_{number:06d}.jpg"
    return MadeUp(
        image_id=image_id,
        path=f"/srv/pictures/{image_id}",
        size=int(rng.integers(200_000, 9_000_000)),
        mtime_ns=1_500_000_000_000_000_000 + int(rng.integers(10**17)) + touched,
        sha256=rng.bytes(32).hex(),
        width=4032,
        height=3024,
        taken_at=f"{year}-{month:02d}-{day:02d}T12:{number % 60:02d}:00"
        if number % 10 < 7
        else None,
        captions=captions,
        split=str(rng.choice(SPLITS, p=SHARES)),
    )


def _unit(rng: np.random.Generator, n: int) -> Vectors:
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _vocabulary() -> NDArray[np.str_]:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 5, _WORDS)
    return np.array(["".join(rng.choice(_SYLLABLES, count)) for count in counts])


def _sentences(rng: np.random.Generator, words: NDArray[np.str_], n: int) -> list[str]:
    """Captions of 8 to 12 words, which are as frequent as words are (Zipf)."""
    lengths = rng.integers(8, 13, n)
    shares = np.cumsum(1 / (np.arange(len(words)) + 2.7))
    ranks = np.searchsorted(shares, rng.random(int(lengths.sum())) * shares[-1])
    flat, ends = words[ranks].tolist(), np.cumsum(lengths)
    return [" ".join(flat[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
