"""The sample collections: whole however often a first start was stopped, and never forced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from PIL import Image

from engine.app import Engine
from engine.errors import IncompatibleIndex
from engine.settings import Settings
from engine.types import Encoder, Vectors
from ingest import building
from ingest.delete import delete
from ingest.sample_filling import SampleFiller
from ingest.samples import SAMPLES, waiting, want
from tests.kills.scenarios import fill_samples, paint_pack, samples_are_whole
from tests.worlds import OneEncoder, PixelEncoder


class Stop(BaseException):
    """What ends a start: neither an error of the program's nor of Python's."""


class Stopping:
    """An encoder that stops at one of its calls."""

    def __init__(self, at: int) -> None:
        self._plain = PixelEncoder()
        self.id, self.dim = self._plain.id, self._plain.dim
        self._left = at

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        self._count()
        return self._plain.encode_images(images)

    def encode_texts(self, texts: list[str]) -> Vectors:
        self._count()
        return self._plain.encode_texts(texts)

    def _count(self) -> None:
        if not self._left:
            raise Stop
        self._left -= 1


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new home, and beside it a pack to fill it from; each batch is kept at once."""
    monkeypatch.setattr(building, "SHARD_SECONDS", 0)
    paint_pack(tmp_path / "home")
    return tmp_path / "home"


@contextmanager
def opened(home: Path, encoder: Encoder | None = None) -> Iterator[Engine]:
    engine = Engine(Settings(home=home, batch_size=4, workers=1, qdrant_url=""))
    engine.models = OneEncoder(engine.settings, encoder or PixelEncoder())
    with closing(engine):
        yield engine


def own(home: Path, name: str) -> None:
    """A collection of the owner's, as any ingest makes one."""
    with opened(home, PixelEncoder("the owner's")) as engine:
        SampleFiller(engine, home.parent / "source").fill("plain")
    (home / "samples.json").unlink()
    (home / "collections" / "plain").rename(home / "collections" / name)


def test_a_start_that_is_stopped_anywhere_goes_on_until_both_are_whole(home: Path) -> None:
    stops = 0
    while stops < 100:
        try:
            fill_samples(home, Stopping(stops))
        except Stop:
            stops += 1
            assert waiting(home)
        else:
            break
    assert stops > 2
    assert waiting(home) == []
    samples_are_whole(home)


def test_a_start_that_was_stopped_between_them_fills_the_second(home: Path) -> None:
    want(home, SAMPLES)
    with opened(home) as engine:
        SampleFiller(engine, home.parent / "source").fill("plain")
    assert waiting(home) == ["postcards"]
    fill_samples(home)
    samples_are_whole(home)


def test_a_sample_that_was_deleted_stays_away(home: Path) -> None:
    fill_samples(home)
    for name in SAMPLES:
        with opened(home) as engine:
            delete(engine, name)
        assert waiting(home) == []


def test_half_a_sample_that_was_deleted_stays_away(home: Path) -> None:
    calls = 0
    while not (home / "collections" / "plain").exists():  # before, there was nothing to keep
        calls += 1
        with pytest.raises(Stop):
            fill_samples(home, Stopping(calls))
    with opened(home) as engine:
        delete(engine, "plain")
    assert waiting(home) == ["postcards"]


def test_a_home_with_a_collection_of_its_owner_is_asked_for_nothing(home: Path) -> None:
    own(home, "holidays")
    assert waiting(home) == []
    with opened(home) as engine:
        delete(engine, "holidays")
    assert waiting(home) == []


def test_a_collection_that_its_owner_made_under_a_samples_name_is_left_alone(home: Path) -> None:
    with pytest.raises(Stop):
        fill_samples(home, Stopping(0))  # before there was anything of `plain`
    own(home, "postcards")
    want(home, SAMPLES)
    assert waiting(home) == ["plain"]


def test_a_sample_is_not_mixed_with_what_another_encoder_made(home: Path) -> None:
    own(home, "plain")
    with opened(home) as engine, pytest.raises(IncompatibleIndex, match="the owner's"):
        SampleFiller(engine, home.parent / "source").fill("plain")


def test_a_note_that_cannot_be_read_asks_for_nothing(home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "samples.json").write_text("[", encoding="utf-8")
    assert waiting(home) == []
    fill_samples(home)
    assert not (home / "collections").exists()
