"""The tables of a ledger, and what stands in their columns for a place, a file and a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from corpus.entry import key_of
from corpus.records import CaptionRecord

LAYOUT = 5
SHIFT = 32
"""A place is a shard's number and, in the low bits, a row of it."""
SCHEMA = """
create table shard (
    number integer primary key, name text, pictures integer, loose integer, commit_ integer
);
create table described_shard (number integer primary key, name text, commit_ integer);
create table split (id integer primary key, name text unique, training integer);
create table picture (
    place integer primary key, sha256 blob, since integer, split integer, captions integer,
    captions_key integer, corrected integer
);
create index picture_by_sha256 on picture (substr(sha256, 1, 8));
create table file (
    place integer, at integer, path_key integer, size integer, mtime_ns integer, said integer,
    id_key integer, primary key (place, at)
) without rowid;
create unique index file_by_path on file (path_key);
create index file_by_id on file (id_key);
create table loose (
    key integer primary key, place integer, since integer, split integer
);
create index loose_by_place on loose (place);
create table gone (sha256 blob primary key, since integer) without rowid;
create table unsaid (key integer primary key, since integer, image_id text, text text);
create table described (
    sha256 blob primary key, since integer, place integer
) without rowid;
"""
KNOWN = "select sha256, place, since, captions_key from picture"
# What is not in order makes a large index slow: it takes the first bytes of a sha256 only.
IS = "substr(sha256, 1, 8) = substr(?1, 1, 8) and sha256 = ?1"


def row_of(place: int) -> int:
    """The row of a place."""
    return place & ((1 << SHIFT) - 1)


def by_shard(places: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Places, ascending, as the rows of each shard."""
    for shard, group in groupby(places, key=lambda place: place >> SHIFT):
        yield shard, [row_of(place) for place in group]


def path_key(path: str) -> int:
    """What stands for a picture file."""
    return key_of("path", path)


def id_key(image_id: str, source: int = 0) -> int:
    """What stands for an id that was seen in a source, of several that are read."""
    return key_of("seen", str(source), image_id)


def loose_key(caption: CaptionRecord) -> int:
    """What stands for a caption that stands alone."""
    return key_of(caption.image_id, caption.text)
