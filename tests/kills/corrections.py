"""An owner's corrections, killed: each is there whole or not at all, and what follows is done."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from corpus.compaction import compact
from corpus.corrections import correction_of, stands
from engine.collection import CollectionFolder
from engine.settings import Settings
from engine.store.generations import current
from ingest.corrections import (
    corrections_of,
    learn,
    level,
    note_correction,
    take_in,
    undo_of,
)
from ingest.pipeline import ingest
from tests.kills.harness import Scenario
from tests.refine.refining import points
from tests.worlds import PixelEncoder, PlainDescriber, paint, record

NAME = "killed"
PICTURES, CORRECTED = 12, 3


def _collection(home: Path) -> CollectionFolder:
    return CollectionFolder(home, NAME)


def _settings(home: Path) -> Settings:
    return Settings(home=home, batch_size=4, workers=2, qdrant_url="")


def _picture(home: Path, seed: int) -> Path:
    return home.parent / "source" / f"{seed:02d}.png"


def _content(home: Path, seed: int) -> str:
    return sha256(_picture(home, seed).read_bytes()).hexdigest()


def _filled(home: Path) -> None:
    home.mkdir()
    for seed in range(PICTURES):
        paint(_picture(home, seed), seed)
    told = [f"text of {seed}" for seed in range(PICTURES)]
    records = [
        record(_picture(home, seed), [text] if seed % 2 else []) for seed, text in enumerate(told)
    ]
    ingest(
        records,
        name=NAME,
        encoder=PixelEncoder(),
        encoder_spec="spec",
        generator_spec="consensus",
        settings=_settings(home),
        captioner_factory=PlainDescriber,
    )


def _correct_all(home: Path) -> None:
    """Correct three pictures, take one back, and put the shards together."""
    folder = _collection(home)
    card = folder.read_card()
    for seed in range(CORRECTED):
        content = _content(home, seed)
        if not corrections_of(folder, content):
            note_correction(
                folder, correction_of(content, "edited", f"right {seed}", replaced="", who="Ada")
            )
        _follow(home)
    if stands(corrections_of(folder, _content(home, 0))) is not None:
        note_correction(folder, undo_of(folder, _content(home, 0), "Ada"))
    _follow(home)
    compact(folder, pushed=0)
    learn(folder, card, _settings(home))


def _follow(home: Path) -> None:
    folder = _collection(home)
    take_in(folder, PixelEncoder())
    level(folder, folder.read_card(), _settings(home))


def _whole_or_not_at_all(home: Path, begun: Path) -> None:
    """What stands is what was said, of each once; and what answered answers."""
    folder = _collection(home)
    for seed in range(PICTURES):
        told = corrections_of(folder, _content(home, seed))
        wanted = [("edited", f"right {seed}")] if seed < CORRECTED else []
        wanted += [("undone", "")] if seed == 0 else []
        assert [(one.kind, one.text) for one in told] == wanted[: len(told)]
    there = {key for store, key in points(folder) if store == "images"}
    assert there == {key for store, key in points(_collection(begun)) if store == "images"}
    assert current(folder) is not None


def _same(home: Path, undisturbed: Path) -> None:
    found, expected = points(_collection(home)), points(_collection(undisturbed))
    assert {key: payload for key, (payload, *_) in found.items()} == {
        key: payload for key, (payload, *_) in expected.items()
    }
    for place in (home, undisturbed):
        folder = _collection(place)
        told = [
            [(one.kind, one.text) for one in corrections_of(folder, _content(place, seed))]
            for seed in range(PICTURES)
        ]
        assert told[:3] == [
            [("edited", "right 0"), ("undone", "")], [("edited", "right 1")],
            [("edited", "right 2")],
        ]  # fmt: skip
        assert not list((folder.corrections / "waiting").glob("*.json"))


CORRECTIONS = Scenario("corrections", _filled, _correct_all, _whole_or_not_at_all, _same)
