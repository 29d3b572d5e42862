"""Brings a collection of the first layout over to this one: exactly, and at once or not at all.

The new shards are written beside the old ones, which nothing but the first layout's program looks
for; the collection's card, written last, says which of them count. So a kill at any moment leaves
a collection that is whole in one layout, and a migration that is run again finishes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from corpus.described import Described, Refined, write_described, write_round
from corpus.entry import Entry, Name, captions_key
from corpus.layout1 import leftovers, living, old_fact, old_shards, read_old
from corpus.lock import writing
from corpus.parquet import Halves, shard_files
from corpus.records import CaptionRecord, not_text
from corpus.shards import Contents, write_shard
from engine.alignment.alignment import Alignment
from engine.collection import LAYOUT, CollectionFolder
from engine.errors import AlignmentError
from engine.files import write_whole
from engine.progress import OnProgress, Progress, silent

FIRST = 1


@dataclass
class MigrateReport:
    """What was brought over; `left_out` says of what could not be, and why."""

    pictures: int = 0
    captions: int = 0
    described: int = 0
    rounds: int = 0
    left_out: list[str] = field(default_factory=list)


def needs_migration(folder: CollectionFolder) -> bool:
    """Whether the collection is of the first layout."""
    return folder.layout() == FIRST


def migrate(folder: CollectionFolder, on_progress: OnProgress = silent) -> MigrateReport:
    """Bring a collection over; one of this layout stays as it is. The index is to be pushed then.

    Raises StoreLocked while another process writes, StoreUnavailable for a shard that cannot be
    read: nothing has changed then.
    """
    with writing(folder):
        if not needs_migration(folder):
            _remove_old(folder)
            return MigrateReport()
        for place in (folder.embeddings, folder.generated, folder.rounds):
            for file in shard_files(place).values():
                file.path.unlink()  # of a migration that was killed
        report = _Migration(folder, on_progress).all()
        folder.write_card(replace(folder.read_card(layout=FIRST), layout=LAYOUT))
        _remove_old(folder)
        return report


def _remove_old(folder: CollectionFolder) -> None:
    for path in leftovers(folder):
        path.unlink(missing_ok=True)


class _Migration:
    """Writes what lives in the old shards into new ones."""

    def __init__(self, folder: CollectionFolder, on_progress: OnProgress) -> None:
        self._folder = folder
        self._on_progress = on_progress
        self._report = MigrateReport()
        self._captions: dict[str, tuple[str, ...]] = {}
        self._commit = 0

    def all(self) -> MigrateReport:
        self._embeddings()
        self._described()
        before = {0: self._commit}
        self._rounds(before)
        self._maps(before)
        return self._report

    def _embeddings(self) -> None:
        live = living(self._folder)
        seen: set[tuple[str, str]] = set()
        shards = old_shards(self._folder.embeddings)
        for done, (number, path) in enumerate(shards.items()):
            self._on_progress(Progress("migrate", done, len(shards)))
            old = read_old(path, "images", "captions")
            contents = self._contents(old.records, old.vectors, live.get(number, {}), seen)
            # A shard of which nothing lives keeps its number and commit: maps are dated by them.
            self._commit = number + 1
            write_shard(
                self._folder.embeddings,
                number,
                contents,
                commit=self._commit,
                encoder_id=old.encoder_id,
            )
        self._on_progress(Progress("migrate", len(shards), len(shards)))

    def _contents(
        self,
        records: Mapping[str, Any],
        vectors: Mapping[str, Halves],
        live: Mapping[int, str],
        seen: set[tuple[str, str]],
    ) -> Contents:
        ends = np.cumsum([0, *(len(entry["captions"]) for entry in records["entries"])]).tolist()
        entries: list[Entry] = []
        kept: list[int] = []
        for row in live:
            entry, said = self._entry(records["entries"][row])
            entries.append(entry)
            kept += [ends[row] + at for at in said]
        loose: list[CaptionRecord] = []
        for at, values in enumerate(records["loose"]):
            caption = CaptionRecord(**values)
            key = (caption.image_id, caption.text)
            if wrong := next(filter(None, map(not_text, (*key, caption.split))), ""):
                self._report.left_out.append(f"a caption without a picture: {wrong}")
            elif key not in seen:
                seen.add(key)
                loose.append(caption)
                kept.append(ends[-1] + at)
        self._report.pictures += len(entries)
        self._report.captions += len(kept)
        self._captions |= {entry.sha256: entry.captions for entry in entries}
        images = vectors["images"][list(live)]
        return Contents(entries, loose, (), images, vectors["captions"][kept])

    def _entry(self, values: Mapping[str, Any]) -> tuple[Entry, list[int]]:
        """The picture, and which of its captions are kept: those that are text."""
        wrong = [not_text(text) for text in values["captions"]]
        kept = [at for at, reason in enumerate(wrong) if not reason]
        self._report.left_out += [
            f"a caption of {_text(values['image_id'])}: {reason}" for reason in wrong if reason
        ]
        name = Name(
            _text(values["image_id"]),
            _text(values["uri"]),
            values["path"],
            values["size"],
            values["mtime_ns"],
            tuple(values["captions"][at] for at in kept),
            _text(values["split"]),
            tuple(_text(tag) for tag in values["tags"]),
        )
        size = values["width"], values["height"]
        return Entry(values["sha256"], *size, (name,), values["taken_at"]), kept

    def _described(self) -> None:
        """The latest description of each picture that has no captions."""
        for number, path in old_shards(self._folder.generated).items():
            old = read_old(path, "captions")
            rows = [
                row
                for row, one in enumerate(old.records)
                if self._captions.get(one["sha256"]) == () and not not_text(one["text"])
            ]
            self._commit += 1
            if rows:
                described = [
                    Described(old.records[row]["sha256"], old.records[row]["text"]) for row in rows
                ]
                write_described(
                    self._folder.generated,
                    number,
                    described,
                    old.vectors["captions"][rows],
                    commit=self._commit,
                    encoder_id=old.encoder_id,
                )
                self._report.described += len(rows)

    def _rounds(self, before: dict[int, int]) -> None:
        """The captions of rounds; notes in `before` the commit that each round came upon."""
        for number, path in old_shards(self._folder.rounds).items():
            old = read_old(path, "captions")
            before[number] = self._commit
            self._commit += 1
            refined = [
                Refined(one["sha256"], self._key(one), one["text"], one["score"])
                for one in old.records
            ]
            write_round(
                self._folder.rounds,
                number,
                refined,
                old.vectors["captions"],
                commit=self._commit,
                encoder_id=old.encoder_id,
            )
            self._report.rounds += 1

    def _key(self, one: Mapping[str, Any]) -> int:
        """The key of the captions that a refined one was scored against; of none that are here
        where these have changed since."""
        captions = self._captions.get(one["sha256"], ())
        stands = captions and _old_captions_key(captions) == one["captions_key"]
        return captions_key(captions) if stands else -1

    def _maps(self, before: Mapping[int, int]) -> None:
        """Keep with each map what the old ledger knew of it."""
        fact = old_fact(self._folder, "fit")
        _note(self._folder.alignment, fact)
        next_shard = 1 + max(old_shards(self._folder.embeddings), default=-1)
        for place in sorted(self._folder.rounds.glob("before-*")):
            number = int(place.name.removeprefix("before-"))
            state = json.loads((place / "state.json").read_text(encoding="utf-8"))
            if "fit" not in state:
                continue  # of a migration that was killed
            _note(place / self._folder.alignment.name, state["fit"])
            # Nothing has come since: then what was before the round is what there is without it.
            unchanged = state["next_shard"] == next_shard
            commit = before.get(number, self._commit) if unchanged else -1
            told = {"request": state["request"], "commit": commit, "rounds": state["rounds"]}
            write_whole(place / "state.json", json.dumps(told))


def _note(path: Path, fact: Mapping[str, Any] | None) -> None:
    if fact is None or not path.is_file():
        return
    try:
        alignment = Alignment.load(path)
    except AlignmentError:
        return  # it is fitted anew
    fitted_on = {
        "request": fact["request"],
        "census": fact["census"],
        "commit": fact["next_shard"],
        "rounds": fact.get("rounds", []),
    }
    replace(alignment, fitted_on=fitted_on).save(path)


def _old_captions_key(captions: Sequence[str]) -> str:
    return blake2b(json.dumps(list(captions)).encode(), digest_size=16).hexdigest()


def _text(value: str) -> str:
    """The text with what is no character in it replaced."""
    return value.encode("utf-8", "replace").decode()
