"""Labels given, given otherwise and taken back, killed: a tagging stands whole or not at all."""

from __future__ import annotations

from pathlib import Path

from engine.alignment.alignment import Alignment
from engine.collection import CollectionFolder
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store
from engine.store.generations import current
from engine.tags.labels import label_of
from engine.tags.making import known_of, make_tagger
from engine.tags.tagging import new_tagging, read_tagging, tagging_names
from ingest.corrections import level
from ingest.pipeline import ingest
from ingest.tagging import keep, take_back
from tests.kills.harness import Scenario
from tests.refine.refining import points
from tests.worlds import PixelEncoder, PlainDescriber, paint, record

NAME = "killed"
PICTURES = 24
FIRST, SECOND, OTHER = ("text", "seven"), ("eight", "text"), ("nine", "text", "of")


def _collection(home: Path) -> CollectionFolder:
    return CollectionFolder(home, NAME)


def _settings(home: Path) -> Settings:
    return Settings(home=home, batch_size=4, workers=2, qdrant_url="")


def _filled(home: Path) -> None:
    home.mkdir()
    source = home.parent / "source"
    for seed in range(PICTURES):
        paint(source / f"{seed:02d}.png", seed)
    ingest(
        [record(source / f"{seed:02d}.png", [f"text of {seed}"]) for seed in range(PICTURES)],
        name=NAME,
        encoder=PixelEncoder(),
        encoder_spec="spec",
        generator_spec="consensus",
        settings=_settings(home),
        captioner_factory=PlainDescriber,
    )


def _tag(home: Path, name: str, words: tuple[str, ...]) -> None:
    folder, settings = _collection(home), _settings(home)
    card = folder.read_card()
    alignment = Alignment.load(folder.alignment)
    with (
        open_image_store(folder, card, settings) as images,
        open_caption_store(folder, card, settings) as captions,
    ):
        known = known_of(alignment, images, [captions])
    labels = tuple(map(label_of, words))
    tagger = make_tagger(labels, PixelEncoder(), known, least=0.02)
    keep(folder, new_tagging(name, tagger, card.encoder_id, who="Ada"))
    level(folder, card, settings)


def _tag_all(home: Path) -> None:
    """Give labels, others under the same name, and take those of another name back."""
    _tag(home, "words", FIRST)
    _tag(home, "other", OTHER)
    _tag(home, "words", SECOND)
    folder = _collection(home)
    if "other" in tagging_names(folder.tags):
        take_back(folder, "other")
    level(folder, folder.read_card(), _settings(home))


def _whole_or_not_at_all(home: Path, begun: Path) -> None:
    """Each tagging is one that was given, and all pictures are there with labels of these."""
    folder = _collection(home)
    for name in tagging_names(folder.tags):
        words = tuple(one.name for one in read_tagging(folder.tags, name).tagger.labels)
        assert words in ({FIRST, SECOND} if name == "words" else {OTHER})
    assert current(folder) is not None
    found, there = points(folder), points(_collection(begun))
    assert set(found) == set(there)
    given = {label for payload, *_ in found.values() for label in payload.get("labels", ())}
    assert given <= {*FIRST, *SECOND, *OTHER}


def _same(home: Path, undisturbed: Path) -> None:
    found, expected = points(_collection(home)), points(_collection(undisturbed))
    payloads = {key: payload for key, (payload, *_) in expected.items()}
    assert {key: payload for key, (payload, *_) in found.items()} == payloads
    given = {label for payload in payloads.values() for label in payload.get("labels", ())}
    assert given == set(SECOND)
    assert [path.name for path in _collection(home).tags.iterdir()] == ["words.safetensors"]


TAGGING = Scenario("tagging", _filled, _tag_all, _whole_or_not_at_all, _same)
