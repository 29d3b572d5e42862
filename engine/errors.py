"""Every error that mRAG raises on purpose, as one tree.

MragError
├── InvalidInput            an argument or a value that cannot be used as given
│   ├── UnreadableImage     a picture that cannot be decoded within the limits
│   ├── TooMuchLeaves       a sync that would take much out of a collection, which nobody allowed
│   └── InvalidSearch       a search that cannot be read; it knows the place
├── SourceError             a source (folder, file of captions) that cannot be read at all
├── AlignmentError          numbers a map cannot be fitted on or applied to
├── IncompatibleIndex       an index or map made with another encoder, dimension or layout
├── Busy                    too many calls wait already; the same call may be made again soon
└── Missing                 something needed is not there, and the message says how to get it
    ├── ModelMissing        weights or files of an encoder or a generator
    ├── CollectionMissing   no collection (or index, or map in it) of that name
    ├── NothingToSync       no source of a collection is known that could change
    ├── StoreUnavailable    a store that is locked, down or refuses the key
    │   ├── StoreLocked     another process or thread has it open, or writes to it
    │   ├── DiskFull        no room for what has to be written
    │   └── Damaged         bytes that are not those that were written, derived from the shards
    ├── DownloadFailed      a file that could not be fetched whole and right
    └── MetricUnavailable   a metric that cannot be computed: no Java, its files not here, it died

Messages say what, which value, which limit, and the remedy. Only the front ends turn them
into text and exit codes.
"""

from __future__ import annotations


class MragError(Exception):
    """The root of all errors that mRAG raises on purpose."""


class InvalidInput(MragError):
    """An argument or a value that cannot be used as given."""


class UnreadableImage(InvalidInput):
    """A picture that cannot be decoded within the limits."""


class TooMuchLeaves(InvalidInput):
    """A sync would take much out of a collection, and nobody has allowed it."""


class InvalidSearch(InvalidInput):
    """A search that cannot be read; `typed` is all of it, from `start` to `end` what is meant.

    `typed` is empty where the place is not known.
    """

    def __init__(self, text: str, typed: str = "", start: int = 0, end: int = 0) -> None:
        super().__init__(text)
        self.typed, self.start, self.end = typed, start, end


class SourceError(MragError):
    """A source that cannot be read at all."""


class AlignmentError(MragError):
    """Numbers that a map cannot be fitted on or applied to."""


class IncompatibleIndex(MragError):
    """An index or map that was made with another encoder, dimension or layout."""


class Busy(MragError):
    """Too many calls wait already; the same call may be made again in a moment."""


class Missing(MragError):
    """Something that is needed and is not there."""


class ModelMissing(Missing):
    """The weights or files of an encoder or a generator cannot be found."""


class CollectionMissing(Missing):
    """There is no collection, or no index or map in it, of that name."""


class NothingToSync(Missing):
    """No source of a collection is known that could change."""


class StoreUnavailable(Missing):
    """A store is locked by another process, down, damaged, or refuses the key."""


class StoreLocked(StoreUnavailable):
    """Another process has the store open, or someone else is writing to the collection."""


class DiskFull(StoreUnavailable):
    """There is no room on the disk for what has to be written."""


class Damaged(StoreUnavailable):
    """An index or a ledger is not what was written; it can be made anew from the shards."""


class DownloadFailed(Missing):
    """A file could not be fetched whole and right."""


class MetricUnavailable(Missing):
    """A metric cannot be computed here; the message is the reason that a report states."""


def first_line(error: Exception) -> str:
    """The first line of what a library's error says: the rest is advice to programmers."""
    return str(error).strip().partition("\n")[0]
