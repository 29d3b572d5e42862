"""Copies are found as a collection is filled, and stay right when it changes or work is stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest
from PIL import Image

from corpus.records import ImageRecord, Record, WholeFolder
from corpus.sights import Sight, Sights
from engine.collection import CollectionCard, CollectionFolder
from engine.progress import Cancellation, Cancelled, Progress
from engine.search.copies import CopiesKeeper
from engine.settings import Settings
from engine.store import ImageStore, open_image_store
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.likeness import find_copies
from ingest.parts import Part, adopt_parts, embed_part
from ingest.push import push
from tests.worlds import PixelEncoder, record

SCENES = Path(__file__).parents[2] / "sample" / "pack" / "plain" / "images"
Make = Callable[..., ImageRecord]


@dataclass(frozen=True)
class World:
    """A collection, and the pictures in a folder that it is filled from."""

    pictures: Path
    folder: CollectionFolder
    card: CollectionCard
    settings: Settings
    encoder: PixelEncoder

    def scene(self, number: int, name: str = "", *, side: int = 96, quality: int = 90) -> Path:
        """A scene as a JPEG: the same one again where it has another side or quality."""
        path = self.pictures / f"{name or number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene = Image.open(SCENES / f"{number:03}.webp").convert("RGB")
        scene.resize((side, side)).save(path, quality=quality)
        return path

    def fill(self) -> None:
        """Bring the collection level with the folder."""
        paths = sorted(self.pictures.rglob("*.jpg"))
        records: list[Record] = [record(path) for path in paths]
        embed([*records, WholeFolder(self.pictures)], self.encoder, self.folder, EmbedOptions())
        self.push()

    def push(self) -> None:
        if not self.folder.alignment.exists():
            fit(self.folder, self.card)
        push(self.folder, self.card, self.settings)

    def groups(self) -> list[set[str]]:
        """The groups that a search knows, by the names of their files."""
        with self.images() as images:
            found = CopiesKeeper(self.folder.copies).copies().groups
            return sorted(
                ({Path(hit.uri).stem for hit in images.get(group)} for group in found), key=sorted
            )

    def images(self) -> ImageStore:
        return open_image_store(self.folder, self.card, self.settings)

    def find(self, seconds: float = inf) -> int:
        """Find copies; how much is left."""
        with self.images() as images:
            return find_copies(self.folder, images, self.settings, seconds=seconds).waiting


@pytest.fixture
def world(
    tmp_path: Path,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
) -> World:
    made = World(tmp_path / "pictures", folder, card, settings, encoder)
    for number in range(6):
        made.scene(number)
    made.scene(1, "1-small", side=64)
    made.scene(1, "1-bad", quality=30)
    made.scene(4, "4-bad", quality=40)
    return made


FOUND = [{"1", "1-bad", "1-small"}, {"4", "4-bad"}]


def test_copies_are_known_once_a_collection_is_filled(world: World) -> None:
    world.fill()
    assert world.groups() == FOUND


def test_a_picture_that_comes_later_joins_its_copies(world: World) -> None:
    world.fill()
    world.scene(4, "4-large", side=200)
    world.scene(2, "2-again", side=80)
    world.fill()
    assert world.groups() == [FOUND[0], {"2", "2-again"}, {"4", "4-bad", "4-large"}]


def test_copies_stay_together_when_the_one_they_were_held_against_goes(world: World) -> None:
    world.fill()
    (world.pictures / "1.jpg").unlink()
    (world.pictures / "4-bad.jpg").unlink()
    world.fill()
    assert world.groups() == [{"1-bad", "1-small"}]


def test_pictures_of_an_earlier_version_are_looked_at_when_it_is_asked_for(world: World) -> None:
    """A push does not decode them: nobody waits for that."""
    world.fill()
    world.folder.sights.unlink()
    world.folder.copies.unlink()
    world.scene(5, "5-again", side=72)
    world.fill()
    assert world.groups() == []
    assert world.find() == 0
    assert world.groups() == [*FOUND, {"5", "5-again"}]


def test_what_was_seen_is_made_again_where_it_is_damaged(world: World) -> None:
    world.fill()
    world.folder.sights.write_bytes(b"nothing that a database is" * 500)
    assert world.find() == 0
    assert world.groups() == FOUND


@pytest.mark.slow
def test_little_time_at_a_time_comes_to_the_same(world: World) -> None:
    world.fill()
    world.folder.sights.unlink()
    left = [world.find(seconds=0)]
    while left[-1]:
        left.append(world.find(seconds=0))
        assert left[-1] < left[-2]
    assert len(left) > 2
    assert world.groups() == FOUND


def test_who_stops_it_loses_little(world: World) -> None:
    world.fill()
    world.folder.sights.unlink()
    stop = Cancellation()

    def told(now: Progress) -> None:
        if now.stage == "look at pictures" and now.done == 5:
            stop.ask()

    with world.images() as images, stop.watched(), pytest.raises(Cancelled):
        find_copies(world.folder, images, world.settings, on_progress=told)
    with Sights.open(world.folder.sights) as sights:
        assert len(sights.ids()) == 5
    assert world.find() == 0
    assert world.groups() == FOUND


@pytest.mark.slow
def test_pictures_that_are_not_there_are_compared_once_they_are_back(world: World) -> None:
    world.fill()
    world.folder.sights.unlink()
    away = world.pictures.with_name("away")
    world.pictures.rename(away)
    with world.images() as images:
        outlook = find_copies(world.folder, images, world.settings)
    assert (outlook.waiting, outlook.missing) == (0, 9)
    assert world.groups() == []
    away.rename(world.pictures)
    assert world.find() == 0
    assert world.groups() == FOUND


def test_a_file_that_is_damaged_by_now_is_passed_over(world: World) -> None:
    world.fill()
    world.folder.sights.unlink()
    (world.pictures / "1-bad.jpg").write_bytes(b"no picture")
    assert world.find() == 0
    assert world.groups() == [{"1", "1-small"}, FOUND[1]]


def test_what_parts_have_seen_is_not_looked_at_again(world: World) -> None:
    world.fill()
    for number in range(6, 9):
        world.scene(number, f"more/{number}")
    world.scene(7, "more/7-bad", quality=30)
    records = [record(path) for path in sorted((world.pictures / "more").glob("*.jpg"))]
    part = Part(1, 1)
    embed_part(records, part, world.encoder, world.folder, world.card, EmbedOptions())
    shutil.rmtree(world.pictures / "more")
    adopt_parts(world.folder)
    world.push()
    assert {"7", "7-bad"} in world.groups()


@pytest.fixture
def sights(tmp_path: Path) -> Iterator[Sights]:
    with Sights.open(tmp_path / "sights.sqlite") as opened:
        yield opened


def uuid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012}"


def test_two_who_look_at_a_picture_keep_what_is_known_of_it(sights: Sights, tmp_path: Path) -> None:
    sights.put({uuid(1): Sight(b"a" * 256, 5), uuid(2): Sight(b"b" * 256, 9)})
    sights.lead({uuid(1): uuid(2), uuid(2): uuid(2)})
    with Sights.open(tmp_path / "sights.sqlite") as others:
        others.put({uuid(1): Sight(b"c" * 256, 5), uuid(3): Sight(b"", 1, missing=True)})
    assert sights.groups() == [[uuid(2), uuid(1)]]
    assert sights.bits([uuid(1), uuid(4)]) == {uuid(1): b"a" * 256}
    assert sights.missing() == [uuid(3)]
    sights.forget([uuid(2)])
    assert sights.uncompared() == [uuid(1)]
