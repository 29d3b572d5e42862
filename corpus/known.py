"""What a ledger knows of the shards: where living rows lie, and what has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.corrected import CorrectedTable
from corpus.entry import key_of
from corpus.parquet import ShardFile
from corpus.records import CaptionRecord
from corpus.refined import RefinedTable
from corpus.tables import IS, KNOWN, SHIFT, by_shard, id_key, loose_key, path_key, row_of
from engine.collection import CollectionFolder


class Known(NamedTuple):
    """A picture that is embedded: where its living row lies, and the commit it changed in."""

    sha256: str
    shard: int
    row: int
    since: int
    captions_key: int


class KnownFile(NamedTuple):
    """A picture file as it was when it was embedded; see `Name.said`.

    `first`: it is the name that its picture is shown by.
    """

    size: int
    mtime_ns: int
    said: int
    first: bool
    picture: Known


class KnownName(NamedTuple):
    """What is known of a picture file but its picture; `id_key`: `key_of` its id."""

    size: int
    mtime_ns: int
    said: int
    id_key: int


class FilesOf(NamedTuple):
    """How many files a picture lies in, and how many bytes they take together."""

    files: int
    bytes: int


class Generated(NamedTuple):
    """Where the generated caption of the picture in `row` of an embedding shard lies."""

    row: int
    shard: int
    described_row: int


class Census(NamedTuple):
    """How much there is to fit a map on, in training splits: pictures, of which with captions
    of their own, and loose captions."""

    pictures: int
    pairs: int
    loose: int


class Live(NamedTuple):
    """The living rows of a shard, ascending: pictures, and captions that stand alone."""

    pictures: list[int]
    loose: list[int]


class KnownRows:
    """The questions that a ledger answers; see `corpus.ledger.Ledger`."""

    _db: sqlite3.Connection
    _folder: CollectionFolder
    refined: RefinedTable
    corrected: CorrectedTable

    # Shards and commits

    def next_shard(self) -> int:
        """A number that no shard has had."""
        return self._one("select coalesce(max(number), -1) + 1 from shard")

    def next_described_shard(self) -> int:
        """A number that no shard of generated captions has had."""
        return self._one("select coalesce(max(number), -1) + 1 from described_shard")

    def last_commit(self) -> int:
        """The latest commit: each write of a shard, of any kind, is one. 0 before the first."""
        return max(self.last_commit_of_sources(), self.refined.last_commit())

    def last_commit_of_sources(self) -> int:
        """The latest commit that is none of a refinement round."""
        return max(
            self._one("select coalesce(max(commit_), 0) from shard"),
            self._one("select coalesce(max(commit_), 0) from described_shard"),
            self.corrected.last_commit(),
        )

    def shards(self) -> list[ShardFile]:
        """The embedding shards, in order."""
        found = self._db.execute("select number, name from shard order by number")
        return [ShardFile(number, self._folder.embeddings / name) for number, name in found]

    def shard(self, number: int) -> ShardFile:
        """The embedding shard of that number."""
        name = self._db.execute("select name from shard where number = ?", (number,)).fetchone()[0]
        return ShardFile(number, self._folder.embeddings / name)

    def described_shards(self) -> list[ShardFile]:
        """The shards of generated captions, in order."""
        found = self._db.execute("select number, name from described_shard order by number")
        return [ShardFile(number, self._folder.generated / name) for number, name in found]

    def described_rows(self, number: int) -> list[int]:
        """The rows of a shard of generated captions that are the latest of pictures here."""
        found = self._db.execute(
            "select d.place from described d cross join picture p on p.sha256 = d.sha256 "
            "and substr(p.sha256, 1, 8) = substr(d.sha256, 1, 8) "
            "where d.place >= ? and d.place < ? order by 1",
            (number << SHIFT, (number + 1) << SHIFT),
        )
        return [row_of(place) for (place,) in found]

    def generated_rows(self, number: int) -> list[tuple[int, str]]:
        """As `described_rows`, of pictures that nobody has captioned, each with its sha256."""
        found = self._db.execute(
            "select d.place, d.sha256 from described d cross join picture p "
            "on p.sha256 = d.sha256 and substr(p.sha256, 1, 8) = substr(d.sha256, 1, 8) "
            "where d.place >= ? and d.place < ? and p.captions + p.corrected = 0 order by 1",
            (number << SHIFT, (number + 1) << SHIFT),
        )
        return [(row_of(place), sha256.hex()) for place, sha256 in found]

    def described_shard(self, number: int) -> ShardFile:
        """The shard of generated captions of that number."""
        query = "select name from described_shard where number = ?"
        name = self._db.execute(query, (number,)).fetchone()[0]
        return ShardFile(number, self._folder.generated / name)

    def counts(self, shard: int) -> tuple[int, int]:
        """The pictures and the loose captions in a shard, living or not."""
        query = "select pictures, loose from shard where number = ?"
        pictures, loose = self._db.execute(query, (shard,)).fetchone()
        return pictures, loose

    def rows(self) -> tuple[int, int]:
        """The rows in embedding shards: those that live, and all."""
        living = self.pictures() + self._one("select count(*) from loose")
        return living, self._one("select coalesce(sum(pictures + loose), 0) from shard")

    # Pictures

    def picture(self, sha256: str) -> Known | None:
        """The picture with that content."""
        found = self._db.execute(f"{KNOWN} where {IS}", (bytes.fromhex(sha256),)).fetchone()
        return _known(found) if found else None

    def file_at(self, path: Path) -> KnownFile | None:
        """What is known of a picture file."""
        found = self._db.execute(
            "select f.size, f.mtime_ns, f.said, f.at, p.sha256, p.place, p.since, "
            "p.captions_key from file f join picture p using (place) where f.path_key = ?",
            (path_key(str(path)),),
        ).fetchone()
        if found is None:
            return None
        size, mtime_ns, said, at = found[:4]
        return KnownFile(size, mtime_ns, said, at == 0, _known(found[4:]))

    def said_at(self, key: int) -> KnownName | None:
        """What is known of the file with that key (`path_key`)."""
        query = "select size, mtime_ns, said, id_key from file where path_key = ?"
        found = self._db.execute(query, (key,)).fetchone()
        return KnownName(*found) if found else None

    def named(self, image_id: str) -> list[Known]:
        """The pictures that a source calls by that id."""
        found = self._db.execute(
            f"{KNOWN} where place in (select place from file where id_key = ?)",
            (key_of(image_id),),
        )
        return [_known(values) for values in found.fetchall()]

    def first_seen(self, image_id: str, path: Path, source: int = 0) -> bool:
        """Whether this is asked of a source's id for the first time since the ledger was opened.

        The file counts as seen, too: see `unseen`.
        """
        with self._db:
            insert = "insert or ignore into temp.seen values (?)"
            self._db.execute(insert, (path_key(str(path)),))
            return self._db.execute(insert, (id_key(image_id, source),)).rowcount == 1

    def was_seen(self, path: str) -> bool:
        """Whether `first_seen` has been asked of that file."""
        query = "select 1 from temp.seen where key = ?"
        return self._db.execute(query, (path_key(path),)).fetchone() is not None

    def unseen(self) -> Iterator[tuple[int, list[int]]]:
        """By shard the rows of pictures with a file of which `first_seen` has not been asked."""
        found = self._db.execute(
            "select distinct place from file where path_key not in (select key from temp.seen) "
            "order by place"
        ).fetchall()
        return by_shard(place for (place,) in found)

    def file_keys(self) -> NDArray[np.int64]:
        """What stands for each file that is known (`path_key`), ascending."""
        found = self._db.execute("select path_key from file order by path_key")
        return np.fromiter((key for (key,) in found), np.int64)

    def files_at(self, keys: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
        """By shard the rows of the pictures whose files have these keys."""
        query = "select place from file where path_key = ?"
        found = (self._db.execute(query, (key,)).fetchone() for key in keys)
        return by_shard(sorted({place for (place,) in filter(None, found)}))

    def live(self, shard: int) -> Live:
        """The rows of a shard that have not been superseded."""
        bounds = shard << SHIFT, (shard + 1) << SHIFT
        return Live(
            *(
                [place - bounds[0] for (place,) in self._db.execute(query, bounds)]
                for query in (
                    "select place from picture where place >= ? and place < ? order by place",
                    "select place from loose where place >= ? and place < ? order by place",
                )
            )
        )

    def in_splits(self, splits: Iterable[str] | None) -> Iterator[tuple[int, list[int]]]:
        """By shard the rows of the captioned pictures of these splits (None: of all)."""
        ids = self._split_ids(splits)
        found = self._db.execute(
            "select place from picture where captions + corrected > 0 "
            f"and split in ({ids}) order by place"
        ).fetchall()
        return by_shard(place for (place,) in found)

    def split_counts(self) -> dict[str, tuple[int, int]]:
        """For each split its pictures, and those of them that people have captioned."""
        found = self._db.execute(
            "select s.name, count(*), sum(p.captions + p.corrected > 0) from picture p "
            "join split s on s.id = p.split group by s.name order by s.name"
        )
        return {name: (pictures, captioned) for name, pictures, captioned in found}

    def has_loose(self, caption: CaptionRecord) -> bool:
        """Whether the caption is embedded."""
        query = "select 1 from loose where key = ?"
        return self._db.execute(query, (loose_key(caption),)).fetchone() is not None

    def loose_at(self, keys: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
        """By shard the rows of the loose captions with these keys (`loose_key`)."""
        query = "select place from loose where key = ?"
        found = (self._db.execute(query, (key,)).fetchone() for key in keys)
        return by_shard(sorted(place for (place,) in filter(None, found)))

    def has_key(self, key: int) -> bool:
        """Whether a file (`path_key`) or a loose caption (`loose_key`) of that key is known."""
        query = "select 1 from file where path_key = ?1 union select 1 from loose where key = ?1"
        return self._db.execute(query, (key,)).fetchone() is not None

    def pictures(self) -> int:
        """How many pictures there are."""
        return self._one("select count(*) from picture")

    def captions(self) -> int:
        """How many captions there are that people wrote."""
        return self._one(
            "select (select coalesce(sum(captions + corrected), 0) from picture) "
            "+ (select count(*) from loose)"
        )

    def indexed_captions(self) -> int:
        """How many captions an index of all that is here holds: also generated ones that stand."""
        described = self._one(
            "select count(*) from picture join described using (sha256) "
            "where captions + corrected = 0"
        )
        return self.captions() + described + sum(self.refined.counts().values())

    def census(self, after: int = 0) -> Census:
        """What there is to fit a map on, of that what has come or changed after a commit."""
        training = "split in (select id from split where training) and"
        late = "(since > ?1 or sha256 in (select sha256 from corrected where since > ?1))"
        pictures, pairs = self._db.execute(
            "select count(*), coalesce(sum(captions + corrected > 0), 0) from picture "
            f"where {training} {late}",
            (after,),
        ).fetchone()
        return Census(
            pictures,
            pairs,
            self._one(f"select count(*) from loose where {training} since > ?", after),
        )

    def sha256s(self) -> Iterator[str]:
        """The contents of all pictures."""
        for (sha256,) in self._db.execute("select sha256 from picture"):
            yield sha256.hex()

    def in_several_files(self) -> dict[str, FilesOf]:
        """By content the pictures that lie in several files of the same bytes."""
        found = self._db.execute(
            "select p.sha256, count(*), sum(f.size) from file f join picture p using (place) "
            "group by f.place having count(*) > 1"
        )
        return {sha256.hex(): FilesOf(*values) for sha256, *values in found}

    def files_of(self, sha256: str) -> FilesOf:
        """How many files a picture lies in, and their bytes."""
        found = self._db.execute(
            "select count(*), coalesce(sum(size), 0) from file where place in "
            f"(select place from picture where {IS})",
            (bytes.fromhex(sha256),),
        ).fetchone()
        return FilesOf(*found)

    def differs_from(self, other: KnownRows) -> str:
        """What this ledger knows otherwise than another one does; "" if they agree."""
        queries = {
            "pictures": "select sha256, since, place, captions, captions_key, corrected "
            "from picture order by sha256",
            "files": "select path_key, size, mtime_ns, said, id_key, at, place from file "
            "order by path_key",
            "captions": "select key, place, since from loose order by key",
            "descriptions": "select sha256, place, since from described order by sha256",
            "corrections": "select id, sha256, since, place from correction order by id",
            "captions of rounds": "select * from refined order by round, row",
        }
        for what, query in queries.items():
            pairs = zip_longest(self._db.execute(query), other._db.execute(query))
            if any(mine != theirs for mine, theirs in pairs):
                return what
        return ""

    # Generated captions

    def generated_in(self, shard: int) -> list[Generated]:
        """The generated captions of a shard's pictures that have none of their own."""
        found = self._db.execute(
            "select p.place, d.place from picture p join described d using (sha256) "
            "where p.place >= ? and p.place < ? and p.captions + p.corrected = 0 order by d.place",
            (shard << SHIFT, (shard + 1) << SHIFT),
        )
        return [Generated(row_of(place), at >> SHIFT, row_of(at)) for place, at in found]

    def undescribed_in(self, shard: int) -> list[int]:
        """The pictures of a shard that have no caption at all, ascending."""
        found = self._db.execute(
            "select place from picture where place >= ? and place < ? and captions + corrected = 0 "
            "and sha256 not in (select sha256 from described) order by place",
            (shard << SHIFT, (shard + 1) << SHIFT),
        )
        return [row_of(place) for (place,) in found]

    def uncaptioned(self, sha256s: Iterable[str]) -> dict[int, list[int]]:
        """By shard the rows of those of these pictures that nobody has captioned."""
        query = f"select place from picture where {IS} and captions + corrected = 0"
        found = (self._db.execute(query, (bytes.fromhex(one),)).fetchone() for one in sha256s)
        return dict(by_shard(sorted({one[0] for one in found if one is not None})))

    def descriptions(self) -> int:
        """How many generated captions are the latest of their picture."""
        return self._one("select count(*) from described")

    def undescribed(self) -> int:
        """How many pictures have no caption at all."""
        return self._one(
            "select count(*) from picture where captions + corrected = 0 "
            "and sha256 not in (select sha256 from described)"
        )

    # What an index has to be told

    def changed(self, after: int) -> Iterator[tuple[int, Live]]:
        """By shard the living rows whose points are others than they were at a commit."""
        standing = [*self.refined.changed(after), *self.corrected.changed(after)]
        found = self._db.execute(
            "select place, 0 from picture where since > ? union "
            "select p.place, 0 from picture p join described d using (sha256) "
            "where d.since > ? and p.captions + p.corrected = 0 union "
            "select place, 1 from loose where since > ? order by 1",
            (after, after, after),
        ).fetchall()
        if standing:
            found = sorted({*found, *((place, 0) for place in standing)})
        for shard, group in groupby(found, key=lambda one: one[0] >> SHIFT):
            rows = list(group)
            yield (
                shard,
                Live(*([row_of(place) for place, loose in rows if loose == of] for of in (0, 1))),
            )

    def gone(self, after: int) -> list[str]:
        """The sha256 of the pictures that went after a commit, and are not back."""
        found = self._db.execute("select sha256 from gone where since > ?", (after,))
        return [sha256.hex() for (sha256,) in found]

    def unsaid(self, after: int) -> list[CaptionRecord]:
        """The loose captions that went after a commit, and are not back; without their splits."""
        found = self._db.execute("select text, image_id from unsaid where since > ?", (after,))
        return [CaptionRecord(text, image_id) for text, image_id in found]

    def _split_ids(self, splits: Iterable[str] | None) -> str:
        wanted = None if splits is None else set(splits)
        found = self._db.execute("select id, name from split").fetchall()
        return ", ".join(str(key) for key, name in found if wanted is None or name in wanted)

    def _one(self, query: str, *values: object) -> int:
        (value,) = self._db.execute(query, values).fetchone()
        return int(value)


def _known(values: Sequence[Any]) -> Known:
    sha256, place, since, key = values
    return Known(sha256.hex(), place >> SHIFT, row_of(place), since, key)
