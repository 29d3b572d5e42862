"""Whatever happens to a folder, a table and lines of text: a sync leaves what an ingest would."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.ingest.syncing import Album
from tests.worlds import paint

WORDS = ("a red door", "snow", "two dogs", "")


class World:
    """Sources to which anything happens: a folder, a table of some of its files and of others,
    and lines of text."""

    def __init__(self, base: Path) -> None:
        self.album = Album(base)
        self.photos, self.extra = base / "photos", base / "extra"
        self.rows: dict[Path, str] = {}
        self.lines = ["always here"]
        self.painted = self.named = 0
        for folder in (self.photos, self.photos / "deep", self.extra):
            folder.mkdir(parents=True)
            (folder / "notes.md").write_text("so that the folder is never empty")
        self.always = self.add(self.extra / "always.png")
        self.rows[self.always] = "kept"
        for number in range(8):
            self.add((self.photos, self.photos / "deep", self.extra)[number % 3] / f"{number}.png")
        for path in self.files()[:4]:
            self.rows[path] = f"row of {path.stem}"
        self.write()
        for source in (self.photos, base / "table.csv", base / "said.txt"):
            self.album.ingest(source)

    def number(self) -> int:
        """One that was not given before."""
        self.named += 1
        return self.named

    def files(self) -> list[Path]:
        """All pictures but the one that stays."""
        found = sorted([*self.photos.rglob("*.png"), *self.extra.rglob("*.png")])
        return [path for path in found if path != self.always]

    def add(self, path: Path) -> Path:
        self.painted += 1
        paint(path, self.painted)
        self.album.touch(path)
        return path

    def write(self) -> None:
        base = self.album.base
        rows = [f"{path.relative_to(base)},{words}" for path, words in self.rows.items()]
        self.album.write("table.csv", "image,caption", *rows)
        self.album.write("said.txt", *self.lines)

    # What may happen

    def come(self, draw: random.Random) -> None:
        folder = draw.choice((self.photos, self.photos / "deep", self.extra))
        self.add(folder / f"new {self.number()}.png")

    def change(self, draw: random.Random) -> None:
        if files := self.files():
            self.add(draw.choice(files))

    def touch(self, draw: random.Random) -> None:
        if files := self.files():
            self.album.touch(draw.choice(files))

    def move(self, draw: random.Random) -> None:
        if files := self.files():
            path = draw.choice(files)
            folder = draw.choice((self.photos, self.photos / "deep", self.extra))
            target = folder / f"moved {self.number()}.png"
            path.rename(target)
            if path in self.rows and draw.random() < 0.7:
                self.rows[target] = self.rows.pop(path)

    def move_folder(self, draw: random.Random) -> None:
        del draw
        target = self.photos / f"folder {self.number()}"
        (self.photos / "deep").rename(target)
        (self.photos / "deep").mkdir()
        (self.photos / "deep" / "notes.md").write_text("not empty")

    def copy(self, draw: random.Random) -> None:
        if files := self.files():
            target = self.photos / f"copy {self.number()}.png"
            shutil.copy(draw.choice(files), target)
            self.album.touch(target)

    def go(self, draw: random.Random) -> None:
        if files := self.files():
            draw.choice(files).unlink()

    def say_beside(self, draw: random.Random) -> None:
        if files := self.files():
            draw.choice(files).with_suffix(".txt").write_text(draw.choice(WORDS))

    def list_row(self, draw: random.Random) -> None:
        if files := self.files():
            self.rows[draw.choice(files)] = draw.choice(WORDS)

    def drop_row(self, draw: random.Random) -> None:
        if others := [path for path in self.rows if path != self.always]:
            del self.rows[draw.choice(others)]

    def say_line(self, draw: random.Random) -> None:
        self.lines.append(f"line {draw.randrange(6)}")

    def drop_line(self, draw: random.Random) -> None:
        if len(self.lines) > 1:
            self.lines.pop(draw.randrange(1, len(self.lines)))


EVENTS: tuple[Callable[[World, random.Random], None], ...] = (
    World.come, World.change, World.touch, World.move, World.move_folder, World.copy, World.go,
    World.say_beside, World.list_row, World.drop_row, World.say_line, World.drop_line,
)  # fmt: skip


def run(turns: list[list[tuple[int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        world = World(Path(base))
        album = world.album
        for turn in turns:
            for event, seed in turn:
                EVENTS[event](world, random.Random(seed))
            world.write()
            looked = album.preview().found
            report = album.sync("all")
            assert report.found.counts == looked.counts
            if report.done is not None:
                assert report.done.embed.removed >= report.found.counts["gone"]
            assert album.holds() == album.afresh()
            encoded = album.encoder.pictures
            again = album.sync()
            assert not again.found.changes, again.text
            assert album.encoder.pictures == encoded
        album.engine.close()


_TURNS = st.lists(
    st.lists(
        st.tuples(st.integers(0, len(EVENTS) - 1), st.integers(0, 10**6)), min_size=1, max_size=5
    ),
    min_size=1,
    max_size=3,
)


@given(_TURNS)
@settings(max_examples=4, deadline=None, derandomize=True)
def test_after_a_sync_all_is_as_if_ingested_anew(turns: list[list[tuple[int, int]]]) -> None:
    run(turns)


@pytest.mark.slow
@given(_TURNS)
@settings(max_examples=120, deadline=None, phases=(Phase.generate,))
def test_so_it_is_however_often_it_is_tried(turns: list[list[tuple[int, int]]]) -> None:
    run(turns)
