"""Duplicates of a collection: files of the same bytes, and pictures that look the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import PurePath

from corpus.entry import Name
from corpus.known import FilesOf, Known
from corpus.ledger import Ledger
from corpus.shards import Shard
from engine.app import Collection
from engine.settings import Settings
from engine.store import ImageStore, picture_id
from engine.types import ImageHit
from engine.video.address import file_at
from ingest.likeness import Outlook, find_copies
from mrag_client.models import (
    DuplicateFile,
    DuplicateGroup,
    DuplicateOptions,
    DuplicatePicture,
    DuplicatesAnswer,
)

SLICE_S = 5.0
"""Seconds that a call looks at pictures and compares them: the next one goes on."""

_READ = 1000


@dataclass(frozen=True)
class _Member:
    """A picture of a group: what the index knows of it, and how much its files take."""

    hit: ImageHit
    held: FilesOf

    @property
    def worth(self) -> tuple[int, bool, float, str]:
        """What is less is rather kept: many pixels, a date in the file, many bytes."""
        about = self.hit.payload
        pixels, heavy = about["width"] * about["height"], self.held.bytes / max(1, self.held.files)
        return -pixels, not about["taken_at"], -heavy, self.hit.id


@dataclass(frozen=True)
class _Group:
    """The pictures of a group, the one to keep first; `files` and bytes to `spare` of them all."""

    ids: tuple[str, ...]
    files: int
    spare: int

    @classmethod
    def of(cls, members: Iterable[_Member]) -> _Group:
        ordered = sorted(members, key=lambda one: one.worth)
        kept = ordered[0].held
        taken = sum(one.held.bytes for one in ordered)
        return cls(
            tuple(one.hit.id for one in ordered),
            sum(one.held.files for one in ordered),
            taken - kept.bytes // max(1, kept.files),
        )


def duplicates(
    collection: Collection,
    settings: Settings,
    options: DuplicateOptions,
    *,
    paths: bool = True,
    seconds: float = SLICE_S,
) -> DuplicatesAnswer:
    """A page of the groups, the biggest first; without `paths` of each file only its name is told.

    For a while pictures that are new are looked at and compared first, unless `kind` is exact.
    """
    images = collection.images
    outlook = Outlook(0, 0, 0)
    if options.kind != "exact":
        outlook = find_copies(collection.folder, images, settings, seconds=seconds)
    with Ledger.read(collection.folder) as ledger:
        found = _groups(collection, images, ledger, options)
        page = found[options.offset : options.offset + options.k]
        told = tuple(_told(page, images, ledger, paths=paths))
    return DuplicatesAnswer(
        groups=told,
        total=len(found),
        files=sum(group.files for group in found),
        spare=sum(group.spare for group in found),
        waiting=outlook.waiting,
        missing=outlook.missing,
    )


def all_groups(
    collection: Collection, settings: Settings, options: DuplicateOptions, *, paths: bool = True
) -> Iterator[DuplicateGroup]:
    """The groups of all pages of `options.k`, as far as pictures were compared."""
    offset = options.offset
    while True:
        asked = options.model_copy(update={"offset": offset})
        page = duplicates(collection, settings, asked, paths=paths, seconds=0)
        yield from page.groups
        offset += options.k
        if offset >= page.total:
            return


def _groups(
    collection: Collection, images: ImageStore, ledger: Ledger, options: DuplicateOptions
) -> list[_Group]:
    """All groups that are asked for: many files first, then many bytes."""
    found: list[_Group] = []
    near = [] if options.kind == "exact" else list(_near(collection, images, ledger))
    found += near
    if options.kind != "near":
        shown = {id_ for group in near for id_ in group.ids}
        for sha256, held in ledger.in_several_files().items():
            if (id_ := picture_id(sha256)) not in shown:
                spare = held.bytes - held.bytes // held.files
                found.append(_Group((id_,), held.files, spare))
    return sorted(found, key=lambda group: (-group.files, -group.spare, group.ids))


def _near(collection: Collection, images: ImageStore, ledger: Ledger) -> Iterator[_Group]:
    """The groups of pictures that look the same, of those that the index has."""
    groups = iter(collection.copies.groups)
    while batch := list(islice(groups, _READ)):
        hits = {hit.id: hit for hit in images.get([id_ for group in batch for id_ in group])}
        for group in batch:
            there = [hits[id_] for id_ in group if id_ in hits]
            if len(there) > 1:
                yield _Group.of(
                    _Member(hit, ledger.files_of(hit.payload["sha256"])) for hit in there
                )


def _told(
    groups: Sequence[_Group], images: ImageStore, ledger: Ledger, *, paths: bool
) -> Iterator[DuplicateGroup]:
    """Groups with all that tells their pictures apart."""
    ids = [id_ for group in groups for id_ in group.ids]
    hits = {hit.id: hit for hit in images.get(ids)}
    names = _names(hits.values(), ledger)
    for group in groups:
        pictures = tuple(
            _picture(hits[id_], names.get(id_, ()), keep=at == 0, paths=paths)
            for at, id_ in enumerate(group.ids)
            if id_ in hits
        )
        if pictures:
            yield DuplicateGroup(pictures=pictures, files=group.files, spare=group.spare)


def _names(hits: Iterable[ImageHit], ledger: Ledger) -> Mapping[str, Sequence[Name]]:
    """The names of each picture, with their files, from the shards that they lie in."""
    known = [(ledger.picture(hit.payload["sha256"]), hit.id) for hit in hits]
    rows = sorted((_place(one), id_) for one, id_ in known if one is not None)
    found: dict[str, Sequence[Name]] = {}
    for number, group in groupby(rows, key=lambda one: one[0][0]):
        of_shard = list(group)
        entries = Shard(ledger.shard(number)).entries([row for (_, row), _ in of_shard])
        for (_, id_), entry in zip(of_shard, entries, strict=True):
            found[id_] = entry.names
    return found


def _place(known: Known) -> tuple[int, int]:
    return known.shard, known.row


def _picture(hit: ImageHit, names: Sequence[Name], *, keep: bool, paths: bool) -> DuplicatePicture:
    about = hit.payload
    files = [_file(name, paths=paths) for name in names]
    return DuplicatePicture(
        id=hit.id,
        files=tuple(sorted(files, key=lambda file: (not file.there, file.modified, file.path))),
        width=about["width"],
        height=about["height"],
        taken_at=about["taken_at"],
        places=tuple(about.get("places", ())),
        caption=next(iter(hit.captions), ""),
        keep=keep,
    )


def _file(name: Name, *, paths: bool) -> DuplicateFile:
    return DuplicateFile(
        path=name.path if paths else PurePath(name.path).name,
        bytes=name.size,
        modified=datetime.fromtimestamp(name.mtime_ns / 1e9, UTC),
        there=file_at(name.path).is_file(),
    )
