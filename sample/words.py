"""Single words: which are looked for, and what the program's own search finds for them first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from engine.app import build_engine
from engine.settings import Settings
from ingest.sample_filling import SampleFiller
from mrag_client.models import SearchOptions
from sample.world.splits import COLLECTIONS
from sample.world.things import THINGS, plural, with_article
from sample.write_pack import PACK
from service.answering import LocalAnswers

_FEW = THINGS[::4][:15]
WORDS = {
    "15 words": [(thing.name, thing.name) for thing in _FEW],
    "all 66 words": [(thing.name, thing.name) for thing in THINGS],
    "their plurals": [(plural(thing.name), thing.name) for thing in THINGS],
    'these with "a"': [(with_article(thing.name), thing.name) for thing in THINGS],
}
"""Word and thing, by what they are together."""


def searched() -> Iterator[tuple[str, str, npt.NDArray[np.float64]]]:
    """Collection, words, and whether the first picture of a search holds the thing.

    As people search: in collections as `mrag demo` fills them, wherever those answer words best.
    """
    with TemporaryDirectory() as home:
        engine = build_engine(Settings(home=Path(home), profile="sample", device="cpu"))
        for collection in COLLECTIONS:
            SampleFiller(engine).fill(collection)
            answers, holding = LocalAnswers(engine), _holding(collection)
            for told, words in WORDS.items():
                hits = [_first(answers, collection, word) for word, _ in words]
                held = [
                    thing in holding.get(hit, ())
                    for (_, thing), hit in zip(words, hits, strict=True)
                ]
                yield collection, told, np.array(held, np.float64)
        engine.close()


def _first(answers: LocalAnswers, collection: str, word: str) -> str:
    """The name of the first picture's file."""
    (found,) = answers.search(SearchOptions(text=word, k=1), collection=collection)
    return Path(found.hits[0].uri).name if found.hits else ""


def _holding(collection: str) -> dict[str, frozenset[str]]:
    """The things in each picture of the pack, by its file's name."""
    lines = (PACK / collection / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = map(json.loads, lines)
    return {Path(row["image"]).name: frozenset(row["truth"]["things"]) for row in rows}
