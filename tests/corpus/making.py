"""Shards made by hand, for the tests of the corpus."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpus.described import Described, Refined, write_described, write_round
from corpus.entry import Entry, Name
from corpus.parquet import Halves, ShardFile
from corpus.records import CaptionRecord
from corpus.shards import Contents, Withdrawn, write_shard

DIM = 3


def sha256_of(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def name(label: str, *captions: str, split: str = "train", tags: Sequence[str] = ("a",)) -> Name:
    return Name(label, f"uri of {label}", f"/{label}", 7, 8, tuple(captions), split, tuple(tags))


def entry(label: str, *captions: str, split: str = "train", content: str = "") -> Entry:
    """A picture of one name; its content is that of its label unless another is given."""
    sha256 = sha256_of(content or label)
    return Entry(sha256, 2, 1, (name(label, *captions, split=split),))


def halves(rows: int, dim: int = DIM, seed: int = 0) -> Halves:
    return np.random.default_rng([rows, seed]).normal(size=(rows, dim)).astype(np.float16)


def contents(
    entries: Sequence[Entry] = (),
    loose: Sequence[CaptionRecord] = (),
    withdrawn: Sequence[str] = (),
    dim: int = DIM,
) -> Contents:
    """With vectors that follow from the numbers of rows."""
    told = sum(len(one.captions) for one in entries) + len(loose)
    gone = [Withdrawn(sha256) for sha256 in withdrawn]
    return Contents(entries, loose, gone, halves(len(entries), dim), halves(told, dim, 1))


def write(folder: Path, number: int, made: Contents, commit: int = 0) -> ShardFile:
    return write_shard(folder, number, made, commit=commit or number + 1, encoder_id="encoder")


def describe(folder: Path, number: int, said: Sequence[Described], commit: int) -> ShardFile:
    return write_described(
        folder, number, said, halves(len(said)), commit=commit, encoder_id="encoder"
    )


def refine(folder: Path, number: int, said: Sequence[Refined], commit: int) -> ShardFile:
    return write_round(folder, number, said, halves(len(said)), commit=commit, encoder_id="encoder")
