"""What is embedded, described and pushed: an index over the shards, derived from them.

The shards are the truth. The ledger is a SQLite file beside them that keeps memory flat: it
knows where each picture's vector lies, which rows have been superseded, and which points of
the stores have to go for it. It catches up with the shards whenever it is opened, and is
made anew where it is missing or does not fit; what was pushed is then pushed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from corpus.records import CaptionRecord
from corpus.refined import RefinedTable
from corpus.shards import (
    Contents,
    Described,
    Entry,
    Withdrawn,
    read_contents,
    read_described,
    read_round,
    shard_path,
    shard_sizes,
)
from engine.collection import CollectionFolder
from engine.files import remove_partials
from engine.store.ids import caption_id, picture_id
from engine.types import TRAINING_SPLITS, CaptionSource

_LAYOUT = 1
_SCHEMA = """
create table shard (
    number integer primary key, bytes integer, loose integer, loose_training integer,
    pushed text not null default ''
);
create table described_shard (number integer primary key, bytes integer);
create table picture (
    image_id text primary key, sha256 text not null unique, path blob, size integer,
    mtime_ns integer, captions_key blob, about_key blob, captions integer, training integer,
    shard integer, row integer
) without rowid;
create index picture_by_shard on picture (shard, row);
create index picture_by_path on picture (path);
create table loose (id text primary key) without rowid;
create table described (
    sha256 text primary key, text text, shard integer, row integer
) without rowid;
create table duplicate (
    path blob primary key, size integer, mtime_ns integer, sha256 text
) without rowid;
create table doomed (store text, id text, primary key (store, id)) without rowid;
create table fact (name text primary key, value text) without rowid;
"""
_KNOWN = "select image_id, sha256, path, size, mtime_ns, captions_key, about_key, shard, row"

Store = Literal["images", "captions"]


class Known(NamedTuple):
    """A picture that is embedded, as of its last embedding."""

    image_id: str
    sha256: str
    path: bytes
    size: int
    mtime_ns: int
    captions_key: bytes
    about_key: bytes
    shard: int
    row: int


class Generated(NamedTuple):
    """Where the generated caption of the picture in `row` of an embedding shard lies."""

    row: int
    text: str
    shard: int
    described_row: int


class Census(NamedTuple):
    """How much there is to fit a map on, in training splits: pictures, of which with captions
    of their own, and loose captions."""

    pictures: int
    pairs: int
    loose: int


def captions_key(captions: Sequence[str]) -> bytes:
    """16 bytes that differ when captions do."""
    return _digest(list(captions))


def about_key(uri: str, split: str, tags: Sequence[str]) -> bytes:
    """16 bytes that differ when what is said of a picture, beside captions, does."""
    return _digest([uri, split, list(tags)])


class Ledger:
    """The index over a collection's shards; open it with `Ledger.open`, as the only writer."""

    def __init__(self, folder: CollectionFolder) -> None:
        """Open the file as it is."""
        folder.embeddings.mkdir(parents=True, exist_ok=True)
        self._embeddings, self._generated = folder.embeddings, folder.generated
        self._rounds = folder.rounds
        self._db = sqlite3.connect(_path(folder))
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.execute("create temp table seen (image_id text primary key) without rowid")
        self.refined = RefinedTable(self._db)
        self._last: tuple[int, Contents] | None = None

    @classmethod
    def open(cls, folder: CollectionFolder) -> Self:
        """Open the ledger of a collection and bring it level with the shards."""
        ledger = cls._sound(folder)
        if ledger is None:
            for path in folder.embeddings.glob("ledger.sqlite*"):
                path.unlink()
            ledger = cls(folder)
            ledger._make()
        ledger._catch_up()
        return ledger

    @classmethod
    def _sound(cls, folder: CollectionFolder) -> Self | None:
        """The ledger if it is whole and every shard that it knows of is still there."""
        if not _path(folder).exists():
            return None
        try:
            ledger = cls(folder)
        except sqlite3.DatabaseError:
            return None
        try:
            if ledger._fits():
                return ledger
        except sqlite3.DatabaseError:
            pass
        ledger.close()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    # Shards

    def add(self, number: int, contents: Contents, size: int) -> None:
        """Take in a shard that has been written, all at once."""
        with self._db:
            for row, entry in enumerate(contents.entries):
                self._place(entry, number, row)
            self._place_loose(contents.loose)
            for withdrawn in contents.withdrawn:
                self._withdraw(withdrawn)
            training = sum(caption.split in TRAINING_SPLITS for caption in contents.loose)
            self._db.execute(
                "insert into shard (number, bytes, loose, loose_training) values (?, ?, ?, ?)",
                (number, size, len(contents.loose), training),
            )

    def add_described(self, number: int, described: Sequence[Described], size: int) -> None:
        """Take in a shard of generated captions; their pictures are then to be pushed again."""
        with self._db:
            for row, caption in enumerate(described):
                self._place_described(caption, number, row)
            self._db.execute("insert into described_shard values (?, ?)", (number, size))

    def next_shard(self) -> int:
        """A number that no shard has had."""
        return self._one("select coalesce(max(number), -1) + 1 from shard")

    def next_described_shard(self) -> int:
        """A number that no shard of generated captions has had."""
        return self._one("select coalesce(max(number), -1) + 1 from described_shard")

    def shards(self) -> list[int]:
        """All shards, in order."""
        return [number for (number,) in self._db.execute("select number from shard order by 1")]

    # Pictures and captions

    def picture(self, image_id: str) -> Known | None:
        """The picture of that id."""
        return self._known("where image_id = ?", image_id)

    def picture_of(self, sha256: str) -> Known | None:
        """The picture with that content."""
        return self._known("where sha256 = ?", sha256)

    def picture_at(self, path: Path) -> Known | None:
        """A picture that was embedded from that file."""
        return self._known("where path = ?", os.fsencode(path))

    def has_loose(self, caption: CaptionRecord) -> bool:
        """Whether the caption is embedded."""
        return self._is_loose(_loose_id(caption))

    def first_seen(self, image_id: str) -> bool:
        """Whether this is asked of an id for the first time since the ledger was opened."""
        asked = self._db.execute("insert or ignore into temp.seen values (?)", (image_id,))
        return asked.rowcount == 1

    def unseen_under(self, folder: Path) -> Iterator[Known]:
        """The pictures of files under a folder of which `first_seen` has not been asked."""
        prefix = os.fsencode(folder / "x")[:-1]
        found = self._db.execute(
            f"{_KNOWN} from picture where path > ? and path < ? "
            "and image_id not in (select image_id from temp.seen)",
            (prefix, prefix[:-1] + bytes([prefix[-1] + 1])),
        )
        return (Known(*values) for values in found)

    def live_rows(self, shard: int) -> list[int]:
        """The pictures of a shard that have not been superseded, ascending."""
        found = self._db.execute("select row from picture where shard = ? order by row", (shard,))
        return [row for (row,) in found]

    def generated_in(self, shard: int) -> list[Generated]:
        """The generated captions of a shard's pictures that have none of their own."""
        found = self._db.execute(
            "select p.row, d.text, d.shard, d.row from picture p join described d using (sha256) "
            "where p.shard = ? and p.captions = 0 order by d.shard, d.row",
            (shard,),
        )
        return [Generated(*values) for values in found]

    def undescribed_in(self, shard: int) -> list[int]:
        """The pictures of a shard that have no caption at all, ascending."""
        found = self._db.execute(
            "select row from picture where shard = ? and captions = 0 "
            "and sha256 not in (select sha256 from described) order by row",
            (shard,),
        )
        return [row for (row,) in found]

    def undescribed(self) -> int:
        """How many pictures have no caption at all."""
        return self._one(
            "select count(*) from picture where captions = 0 "
            "and sha256 not in (select sha256 from described)"
        )

    def pictures(self) -> int:
        """How many pictures there are."""
        return self._one("select count(*) from picture")

    def captions(self) -> int:
        """How many captions there are that people wrote."""
        return self._one(
            "select (select coalesce(sum(captions), 0) from picture) + (select count(*) from loose)"
        )

    def census(self, first: int = 0) -> Census:
        """What there is to fit a map on in the shards from `first` on."""
        pictures, pairs = self._db.execute(
            "select count(*), coalesce(sum(captions > 0), 0) from picture "
            "where training and shard >= ?",
            (first,),
        ).fetchone()
        loose = "select coalesce(sum(loose_training), 0) from shard where number >= ?"
        return Census(pictures, pairs, self._one(loose, first))

    # Duplicates: a picture whose content another file of the collection has already

    def note_duplicate(self, path: Path, size: int, mtime_ns: int, sha256: str) -> None:
        """Remember a duplicate, so that it need not be read again while it does not change."""
        values = (os.fsencode(path), size, mtime_ns, sha256)
        with self._db:
            self._db.execute("insert or replace into duplicate values (?, ?, ?, ?)", values)

    def duplicate_of(self, path: Path, size: int, mtime_ns: int) -> Known | None:
        """The picture of which that unchanged file is a duplicate."""
        found = self._db.execute(
            "select sha256 from duplicate where path = ? and size = ? and mtime_ns = ?",
            (os.fsencode(path), size, mtime_ns),
        ).fetchone()
        return self.picture_of(found[0]) if found else None

    # Pushing

    def unpushed(self, fingerprint: str) -> list[int]:
        """The shards with rows that have not been pushed with that map, in order."""
        found = self._db.execute(
            "select number from shard where pushed <> ? order by number", (fingerprint,)
        )
        return [number for (number,) in found]

    def note_pushed(self, shards: Iterable[int], fingerprint: str) -> None:
        """Remember what is safely in the stores; an empty fingerprint: nothing is."""
        with self._db:
            self._db.executemany(
                "update shard set pushed = ? where number = ?",
                [(fingerprint, shard) for shard in shards],
            )

    def doomed(self, store: Store, limit: int) -> list[str]:
        """Points that have to go from a store, at most `limit` of them."""
        found = self._db.execute("select id from doomed where store = ? limit ?", (store, limit))
        return [point for (point,) in found]

    def note_deleted(self, store: Store, ids: Sequence[str]) -> None:
        """Remember that points have gone from a store."""
        with self._db:
            self._forget(store, ids)

    # Facts

    def fact(self, name: str) -> Any:
        """A fact that was noted; None where it was not."""
        found = self._db.execute("select value from fact where name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    def note_fact(self, name: str, value: Any) -> None:
        """Remember a JSON value by name."""
        with self._db:
            self._db.execute("insert or replace into fact values (?, ?)", (name, json.dumps(value)))

    # Inner workings

    def _make(self) -> None:
        self._db.executescript(_SCHEMA)
        self._db.execute(f"pragma user_version = {_LAYOUT}")

    def _fits(self) -> bool:
        if self._one("pragma user_version") != _LAYOUT:
            return False
        tables = {"shard": self._embeddings, "described_shard": self._generated}
        for table, folder in tables.items():
            known = dict(self._db.execute(f"select number, bytes from {table}"))
            present = shard_sizes(folder)
            if any(present.get(number) != size for number, size in known.items()):
                return False
            if any(number < max(known) for number in present.keys() - known.keys() if known):
                return False
        return True

    def _catch_up(self) -> None:
        remove_partials(self._embeddings)
        remove_partials(self._generated)
        known = {number for (number,) in self._db.execute("select number from shard")}
        for number, size in shard_sizes(self._embeddings).items():
            if number not in known:
                self.add(number, read_contents(shard_path(self._embeddings, number)), size)
        known = {number for (number,) in self._db.execute("select number from described_shard")}
        for number, size in shard_sizes(self._generated).items():
            if number not in known:
                shard = read_described(shard_path(self._generated, number))
                self.add_described(number, shard.described, size)
        self._catch_up_rounds()

    def _catch_up_rounds(self) -> None:
        """Rounds come and go: a withdrawn one has no shard any more."""
        remove_partials(self._rounds)
        present, known = shard_sizes(self._rounds), self.refined.sizes()
        with self._db:
            for number, size in known.items():
                if present.get(number) != size:
                    self._doom("captions", self.refined.points_of_round(number))
                    self.refined.remove(number)
            for number, size in present.items():
                if known.get(number) != size:
                    added = read_round(shard_path(self._rounds, number)).refined
                    self.refined.add(number, added, size)
                    self._forget("captions", self.refined.points_of_round(number))

    def _place(self, entry: Entry, shard: int, row: int) -> None:
        """Make an entry the living one of its id and of its content."""
        for old in self._superseded_by(entry):
            self._retire(old, entry.sha256)
        values = (
            entry.image_id,
            entry.sha256,
            os.fsencode(entry.path),
            entry.size,
            entry.mtime_ns,
            captions_key(entry.captions),
            about_key(entry.uri, entry.split, entry.tags),
            len(entry.captions),
            entry.split in TRAINING_SPLITS,
            shard,
            row,
        )
        self._db.execute(f"insert into picture values ({', '.join('?' * len(values))})", values)
        if entry.captions:
            self._drop_description(entry.sha256, entry.image_id)
        self._forget("images", [picture_id(entry.sha256)])
        self._forget("captions", _caption_ids(entry.image_id, entry.captions))
        self._forget("captions", self.refined.points_of_picture(entry.sha256))

    def _superseded_by(self, entry: Entry) -> list[Known]:
        found = self._db.execute(
            f"{_KNOWN} from picture where image_id = ? or sha256 = ?",
            (entry.image_id, entry.sha256),
        )
        return [Known(*values) for values in found]

    def _withdraw(self, picture: Withdrawn) -> None:
        """Retire a picture, unless its id has come to stand for another content."""
        known = self.picture(picture.image_id)
        if known is not None and known.sha256 == picture.sha256:
            self._retire(known, "")

    def _retire(self, old: Known, new_sha256: str) -> None:
        """Let go of a picture; what its content keeps is kept if the new one has the same."""
        texts = self._contents(old.shard).entries[old.row].captions
        ids = _caption_ids(old.image_id, texts)
        self._doom("captions", [point for point in ids if not self._is_loose(point)])
        self._doom("captions", self.refined.points_of_picture(old.sha256))
        described = self._description(old.sha256)
        if described is not None:
            self._doom("captions", _caption_ids(old.image_id, [described], "generated"))
        if old.sha256 != new_sha256:
            self._doom("images", [picture_id(old.sha256)])
            self._db.execute("delete from described where sha256 = ?", (old.sha256,))
        self._db.execute("delete from picture where image_id = ?", (old.image_id,))

    def _place_loose(self, captions: Iterable[CaptionRecord]) -> None:
        ids = [_loose_id(caption) for caption in captions]
        self._db.executemany("insert or ignore into loose values (?)", [(key,) for key in ids])
        self._forget("captions", ids)

    def _place_described(self, caption: Described, shard: int, row: int) -> None:
        picture = self.picture_of(caption.sha256)
        if picture is None or picture.captions_key != captions_key(()):
            return
        self._drop_description(caption.sha256, picture.image_id)
        self._db.execute(
            "insert into described values (?, ?, ?, ?)", (caption.sha256, caption.text, shard, row)
        )
        self._forget("captions", _caption_ids(picture.image_id, [caption.text], "generated"))
        self._db.execute("update shard set pushed = '' where number = ?", (picture.shard,))

    def _drop_description(self, sha256: str, image_id: str) -> None:
        text = self._description(sha256)
        if text is not None:
            self._doom("captions", _caption_ids(image_id, [text], "generated"))
            self._db.execute("delete from described where sha256 = ?", (sha256,))

    def _description(self, sha256: str) -> str | None:
        query = "select text from described where sha256 = ?"
        found = self._db.execute(query, (sha256,)).fetchone()
        return str(found[0]) if found else None

    def _doom(self, store: Store, ids: Iterable[str]) -> None:
        self._db.executemany(
            "insert or ignore into doomed values (?, ?)", [(store, point) for point in ids]
        )

    def _forget(self, store: Store, ids: Iterable[str]) -> None:
        self._db.executemany(
            "delete from doomed where store = ? and id = ?", [(store, point) for point in ids]
        )

    def _is_loose(self, point: str) -> bool:
        return self._db.execute("select 1 from loose where id = ?", (point,)).fetchone() is not None

    def _contents(self, number: int) -> Contents:
        """What is in a shard; the one asked for last is kept, for rows that lie together."""
        if self._last is None or self._last[0] != number:
            self._last = (number, read_contents(shard_path(self._embeddings, number)))
        return self._last[1]

    def _known(self, where: str, value: object) -> Known | None:
        found = self._db.execute(f"{_KNOWN} from picture {where}", (value,)).fetchone()
        return Known(*found) if found else None

    def _one(self, query: str, *values: object) -> int:
        (value,) = self._db.execute(query, values).fetchone()
        return int(value)


def _path(folder: CollectionFolder) -> Path:
    return folder.embeddings / "ledger.sqlite"


def _loose_id(caption: CaptionRecord) -> str:
    return caption_id(caption.image_id, caption.text, "human")


def _caption_ids(
    image_id: str, texts: Iterable[str], source: CaptionSource = "human"
) -> Iterator[str]:
    return (caption_id(image_id, text, source) for text in texts)


def _digest(value: object) -> bytes:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest()
