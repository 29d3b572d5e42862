"""The ledger is derived: whatever has been done, one made anew from the shards says the same."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.described import Described, Refined
from corpus.entry import Entry
from corpus.ledger import Ledger, Live
from corpus.parquet import ShardFile, shard_files
from corpus.records import CaptionRecord, ImageRecord, Leaving, Record, WholeFolder
from corpus.shards import SCHEMA, Shard, write_rows
from engine.collection import CollectionFolder
from ingest.embed import EmbedOptions, embed
from tests.corpus.answers import answers
from tests.corpus.making import describe, refine
from tests.worlds import PixelEncoder, paint

STEPS = 12


class Walk:
    """A folder of pictures to which anything happens, each time followed by an ingest."""

    def __init__(self, base: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = CollectionFolder(base / "home", "walk")
        self.folder.path.mkdir(parents=True)
        self.album = base / "album"
        self.album.mkdir()
        (self.album / "notes.txt").write_text("so that the folder is never empty")
        self.encoder = PixelEncoder()
        self.said: dict[Path, tuple[tuple[str, ...], str]] = {}
        self.ever: set[Path] = set()
        self.loose: list[CaptionRecord] = []
        self.unsaid: list[CaptionRecord] = []
        self.painted = 0
        self.clock = 10**18
        self.whole = False

    def step(self) -> None:
        """One thing happens, or several."""
        for _ in range(self.random.randint(1, 3)):
            self.random.choice(
                [
                    self.add,
                    self.add,
                    self.say,
                    self.delete,
                    self.move,
                    self.copy,
                    self.copy,
                    self.replace,
                    self.speak,
                    self.unsay,
                    self.touch,
                ]
            )()
        self.ingest()
        after = self.random.random()
        if after < 0.3:
            self.describe()
        elif after < 0.5:
            self.refine()
        elif after < 0.6:
            self.compact()

    def add(self) -> None:
        self.painted += 1
        path = self.album / f"{self.painted:03d}.png"
        paint(path, self.random.randrange(1000))
        self.keep(path, self.words())

    def keep(self, path: Path, said: tuple[tuple[str, ...], str]) -> None:
        # Times of their own: a clock may be too coarse to tell two writes apart.
        self.clock += 10**9
        os.utime(path, ns=(self.clock, self.clock))
        self.said[path] = said
        self.ever.add(path)

    def words(self) -> tuple[tuple[str, ...], str]:
        texts = [f"caption {self.random.randrange(6)}" for _ in range(self.random.randrange(3))]
        return tuple(texts), self.random.choice(["train", "train", "test", ""])

    def any(self) -> Path:
        if not self.said:
            self.add()
        return self.random.choice(sorted(self.said))

    def say(self) -> None:
        self.said[self.any()] = self.words()

    def delete(self) -> None:
        path = self.any()
        del self.said[path]
        path.unlink()

    def move(self) -> None:
        path = self.any()
        target = path.with_name(f"moved {self.random.randrange(10**6)}.png")
        path.rename(target)
        self.said[target] = self.said.pop(path)
        self.ever.add(target)

    def copy(self) -> None:
        path = self.any()
        target = path.with_name(f"copy {self.random.randrange(10**6)}.png")
        shutil.copy(path, target)
        self.keep(target, self.random.choice([self.words(), self.said[path]]))

    def replace(self) -> None:
        path = self.any()
        other = self.any()
        if path != other and self.random.random() < 0.5:
            shutil.copy(other, path)
        else:
            paint(path, self.random.randrange(1000, 2000))
        self.keep(path, self.said[path])

    def touch(self) -> None:
        path = self.any()
        self.keep(path, self.said[path])

    def speak(self) -> None:
        said = CaptionRecord(f"alone {self.random.randrange(8)}", "", self.words()[1])
        self.loose.append(said)

    def unsay(self) -> None:
        if self.loose:
            gone = self.random.choice(self.loose)
            self.loose = [one for one in self.loose if one.text != gone.text]
            self.unsaid.append(gone)

    def ingest(self) -> None:
        records: list[Record] = [
            ImageRecord(path.name, str(path), path, *said) for path, said in self.said.items()
        ]
        records += self.loose
        self.random.shuffle(records)
        # Where no picture at all is left, the disk may be gone.
        self.whole = bool(self.said) and self.random.random() < 0.8
        if self.whole:
            records.append(WholeFolder(self.album))
        size = self.random.choice([1, 3, 100])
        said = {one.text for one in self.loose}
        leaving = Leaving(captions=tuple(one for one in self.unsaid if one.text not in said))
        options = EmbedOptions(batch_size=2, shard_size=size)
        embed(records, self.encoder, self.folder, options, leaving=leaving)

    def describe(self) -> None:
        with Ledger.open(self.folder) as ledger:
            bare = [
                Shard(file).sha256s[row].hex()
                for file in ledger.shards()
                for row in ledger.undescribed_in(file.number)
            ]
            said = [Described(sha256, "a description") for sha256 in bare[:3]]
            if said:
                number, commit = ledger.next_described_shard(), ledger.next_commit()
                file = describe(self.folder.generated, number, said, commit)
                ledger.add_described(file, said, commit)

    def refine(self) -> None:
        with Ledger.open(self.folder) as ledger:
            added = []
            for number, rows in ledger.in_splits(["train"]):
                shard = Shard(ledger.shard(number))
                for entry in shard.entries(rows[:2]):
                    known = ledger.picture(entry.sha256)
                    assert known is not None
                    added.append(Refined(entry.sha256, known.captions_key, "refined", 1.0))
            number = max(ledger.refined.rounds(), default=0) + 1
            if added:
                refine(self.folder.rounds, number, added, ledger.next_commit())
        with Ledger.open(self.folder):
            pass

    def compact(self) -> None:
        """Move the living rows of one shard to a new one, and remove it."""
        with Ledger.open(self.folder) as ledger:
            files = ledger.shards()
            if len(files) > 1:
                file = self.random.choice(files)
                moved(self.folder, ledger, file)
                ledger.close()
                with Ledger.open(self.folder) as level:
                    level.forget_shards([file])
                    file.path.unlink()

    def state(self, ledger: Ledger) -> dict[str, Any]:
        return answers(ledger, sorted(self.ever), [*self.loose, *self.unsaid])


def moved(folder: CollectionFolder, ledger: Ledger, file: ShardFile) -> None:
    """Move the living rows of a shard, and what it withdrew, to a new one as a compaction does."""
    shard, live = Shard(file), ledger.live(file.number)
    gone = range(shard.pictures + shard.loose, shard.columns.rows)
    rows = [*live.pictures, *live.loose, *gone]
    table = shard.columns.table().take(pa.array(rows, pa.int64()))
    columns = {name: pa.concat_arrays(table.column(name).chunks) for name in SCHEMA.names}
    counts = len(live.pictures), len(live.loose), len(gone)
    write_rows(
        folder.embeddings,
        ledger.next_shard(),
        pa.table(columns, schema=SCHEMA),
        counts,
        ledger.last_commit(),
        shard.columns.dim,
        shard.encoder_id,
    )


def forget(folder: CollectionFolder) -> None:
    for path in folder.embeddings.glob("ledger.sqlite*"):
        path.unlink()


def rebuilt(walk: Walk) -> dict[str, Any]:
    """What a ledger made anew says, by a reader: the one that is there stays as it is."""
    aside = walk.folder.path / "aside"
    aside.mkdir()
    for path in walk.folder.embeddings.glob("ledger.sqlite*"):
        path.rename(aside / path.name)
    with Ledger.read(walk.folder) as ledger:
        found = walk.state(ledger)
    for path in aside.iterdir():
        path.rename(walk.folder.embeddings / path.name)
    aside.rmdir()
    return found


def contents_of(paths: Iterable[Path]) -> dict[str, set[str]]:
    """The files by what is in them."""
    found: dict[str, set[str]] = {}
    for path in paths:
        found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), set()).add(str(path))
    return found


def shown(entry: Entry) -> tuple[object, ...]:
    """What an index shows of a picture: nothing of its files' sizes and times."""
    ids = [name.image_id for name in entry.names]
    return ids, entry.uri, entry.captions, entry.split, entry.tags


class Index:
    """What an index holds that is told only what has changed since it was told last."""

    def __init__(self) -> None:
        self.pictures: dict[str, Any] = {}
        self.loose: set[CaptionRecord] = set()
        self.commit = 0

    def tell(self, ledger: Ledger) -> None:
        for sha256 in ledger.gone(self.commit):
            self.pictures.pop(sha256, None)
        unsaid = {one.text for one in ledger.unsaid(self.commit)}
        self.loose = {one for one in self.loose if one.text not in unsaid}
        self._take(ledger, ledger.changed(self.commit))
        self.commit = ledger.last_commit()

    def _take(self, ledger: Ledger, rows: Iterable[tuple[int, Live]]) -> None:
        for number, live in rows:
            shard = Shard(ledger.shard(number))
            generated = {found.row for found in ledger.generated_in(number)}
            standing: dict[int, list[int]] = {}
            for one in ledger.refined.standing_in(number):
                standing.setdefault(one.row, []).append(one.round)
            for row, entry in zip(live.pictures, shard.entries(live.pictures), strict=True):
                vectors = shard.images[row].tobytes(), shard.captions[shard.span(row)].tobytes()
                made = row in generated, standing.get(row)
                self.pictures[entry.sha256] = shown(entry), vectors, made
            self.loose |= set(shard.loose_captions(live.loose))

    @classmethod
    def of_all(cls, ledger: Ledger) -> Index:
        index = cls()
        index._take(ledger, [(one.number, ledger.live(one.number)) for one in ledger.shards()])
        return index


SEEDS = [
    *range(8),
    *(pytest.param(seed, marks=[pytest.mark.slow, pytest.mark.nightly]) for seed in range(8, 16)),
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(16, 80)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_index_that_is_told_what_changed_holds_what_is_there(tmp_path: Path, seed: int) -> None:
    walk, index = Walk(tmp_path, seed), Index()
    for _ in range(STEPS):
        walk.step()
        with Ledger.open(walk.folder) as ledger:
            if walk.random.random() < 0.6:  # it is not told each time
                index.tell(ledger)
                whole = Index.of_all(ledger)
                assert index.pictures == whole.pictures
                assert index.loose == whole.loose
                assert {one.text for one in index.loose} == {one.text for one in walk.loose}
        if walk.random.random() < 0.2:
            forget(walk.folder)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_file_is_a_name_of_the_picture_in_it(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path, seed)
    for step in range(STEPS):
        walk.step()
        with Ledger.open(walk.folder) as ledger:
            living = [entry for entry, _, _ in walk.state(ledger)["living"][0]]
            names = {entry.sha256: {name.path for name in entry.names} for entry in living}
            expected = contents_of(walk.said)
            if walk.whole:
                assert names == expected, step
            for sha256, paths in expected.items():
                assert names[sha256] >= paths, step
            for entry in living:
                for name in entry.names:
                    if walk.whole:
                        captions, split = walk.said[Path(name.path)]
                        said = tuple(dict.fromkeys(captions))
                        assert (name.captions, name.split) == (said, split), step


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_rows_are_the_same_in_any_order_of_files(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(tmp_path, seed)
    for _ in range(STEPS):
        walk.step()
    with Ledger.open(walk.folder) as ledger:
        kept = walk.state(ledger)

    def shuffled(folder: Path) -> dict[int, ShardFile]:
        files = list(shard_files(folder).items())
        return dict(walk.random.sample(files, len(files)))

    monkeypatch.setattr("corpus.ledger.shard_files", shuffled)
    for _ in range(8):
        assert rebuilt(walk) == kept


@pytest.mark.parametrize("seed", SEEDS)
def test_losing_the_ledger_changes_nothing(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path, seed)
    for step in range(STEPS):
        walk.step()
        with Ledger.open(walk.folder) as ledger:
            kept = walk.state(ledger)
        made = rebuilt(walk)
        for what, said in kept.items():
            assert made[what] == said, (step, what)
        assert kept["counts"][0] == len(kept["living"][0])
        if walk.random.random() < 0.2:
            forget(walk.folder)  # and what follows is as if it had not been lost
