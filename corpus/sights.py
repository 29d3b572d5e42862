"""The sights of a collection's pictures (`engine.search.sight`), and which is a copy of which.

A cache: what is lost is made again of the pictures' files. Any number of processes may write it;
what two of them find out is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from corpus.cache import Cache

_TABLES = """
drop table if exists sight;
create table sight (
    id blob primary key, bits blob, pixels integer, missing integer, leader blob
) without rowid;
create index sight_by_leader on sight (leader);
"""

_TOGETHER = 1024


class Sight(NamedTuple):
    """What a picture looks like, and how many pixels it has.

    `bits` are empty where there is nothing to compare; `missing`: because its file was not there.
    """

    bits: bytes
    pixels: int
    missing: bool = False


class Sights(Cache):
    """Sights by the id of the picture, each compared with those before it.

    A picture is led by the one that it is a copy of, or by itself where it is a copy of none. So
    each of a group was held against the one that leads it, and no chain of likenesses makes one.
    """

    layout = 1
    tables = _TABLES

    def ids(self) -> set[str]:
        """The pictures that were looked at."""
        return {_text(id_) for (id_,) in self._db.execute("select id from sight")}

    def missing(self) -> list[str]:
        """Those whose file was not there."""
        return self._ids("select id from sight where missing")

    def put(self, sights: Mapping[str, Sight]) -> None:
        """Keep what was seen of pictures that were not looked at before."""
        rows = [
            (_key(id_), one.bits, one.pixels, one.missing, None if one.bits else _key(id_))
            for id_, one in sights.items()
        ]
        with self._db:
            self._db.executemany("insert or ignore into sight values (?, ?, ?, ?, ?)", rows)

    def take(self, other: Sights) -> None:
        """Keep what was seen elsewhere, of pictures that were not looked at here."""
        rows = other._db.execute("select id, bits, pixels, missing from sight")
        while batch := rows.fetchmany(_TOGETHER):
            self.put({_text(id_): Sight(*values) for id_, *values in batch})

    def forget(self, ids: Iterable[str]) -> None:
        """Forget pictures; copies that one of them led are to be compared again."""
        keys = [(_key(id_),) for id_ in ids]
        with self._db:
            self._db.executemany("update sight set leader = null where leader = ?", keys)
            self._db.executemany("delete from sight where id = ?", keys)

    def uncompared(self) -> list[str]:
        """Those that were not compared yet, large ones first: a copy is seldom the larger one."""
        return self._ids("select id from sight where leader is null order by pixels desc, id")

    def bits(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The sights of pictures, without those that are forgotten by now."""
        query = "select bits from sight where id = ?"
        found = ((id_, self._db.execute(query, (_key(id_),)).fetchone()) for id_ in ids)
        return {id_: row[0] for id_, row in found if row}

    def leaders(self) -> tuple[list[str], list[bytes]]:
        """The pictures that are copies of none before them, and their sights."""
        query = "select id, bits from sight where leader = id and bits != x''"
        found = self._db.execute(query).fetchall()
        return [_text(id_) for id_, _ in found], [bits for _, bits in found]

    def lead(self, leaders: Mapping[str, str]) -> None:
        """Note for each of these pictures which one it is a copy of, if not of itself."""
        rows = [(_key(leader), _key(id_)) for id_, leader in leaders.items()]
        with self._db:
            self._db.executemany("update sight set leader = ? where id = ?", rows)

    def groups(self) -> list[list[str]]:
        """The pictures of each group of two or more, the one that leads it first."""
        found: dict[bytes, list[str]] = {}
        query = (
            "select leader, id from sight where leader in "
            "(select leader from sight where leader != id) order by leader, id != leader, id"
        )
        for leader, id_ in self._db.execute(query):
            found.setdefault(leader, []).append(_text(id_))
        return [group for group in found.values() if len(group) > 1]

    def _ids(self, query: str) -> list[str]:
        return [_text(id_) for (id_,) in self._db.execute(query)]


def _key(id_: str) -> bytes:
    return UUID(id_).bytes


def _text(key: bytes) -> str:
    return str(UUID(bytes=key))
