"""All that a ledger says of a collection, to be compared with another's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from corpus.ledger import Ledger, Live
from corpus.records import CaptionRecord
from corpus.shards import Shard


def answers(
    ledger: Ledger, paths: Iterable[Path] = (), loose: Iterable[CaptionRecord] = ()
) -> dict[str, Any]:
    """What it answers, by contents and not by where these lie: a compaction changes that."""
    shards = {file.number: Shard(file) for file in ledger.shards()}
    contents = {
        (number, row): sha256.hex()
        for number, shard in shards.items()
        for row, sha256 in enumerate(shard.sha256s)
    }

    def said(found: Iterable[tuple[int, Live]]) -> tuple[list[Any], list[Any]]:
        pictures: list[Any] = []
        alone: list[Any] = []
        for number, live in found:
            shard = shards[number]
            vectors = [shard.images[row].tobytes() for row in live.pictures]
            told = [shard.captions[shard.span(row)].tobytes() for row in live.pictures]
            pictures += zip(shard.entries(live.pictures), vectors, told, strict=True)
            alone += shard.loose_captions(live.loose)
        return sorted(pictures, key=repr), sorted(alone, key=repr)

    last = ledger.last_commit()
    living = said((number, ledger.live(number)) for number in shards)
    known = {entry.sha256: ledger.picture(entry.sha256) for entry, _, _ in living[0]}
    files = {path: ledger.file_at(path) for path in paths}
    names = sorted({name.image_id for entry, _, _ in living[0] for name in entry.names})
    return {
        "living": living,
        "known": {
            sha256: found and (contents[found.shard, found.row], found.since, found.captions_key)
            for sha256, found in known.items()
        },
        "files": {
            path: found and (*found[:4], found.picture.sha256) for path, found in files.items()
        },
        "named": {name: sorted(one.sha256 for one in ledger.named(name)) for name in names},
        "loose": [ledger.has_loose(one) for one in loose],
        "counts": (
            ledger.pictures(),
            ledger.captions(),
            ledger.indexed_captions(),
            ledger.split_counts(),
            ledger.rows()[0],
            last,
            ledger.undescribed(),
            ledger.refined.counts(),
        ),
        "census": [ledger.census(commit) for commit in range(last + 1)],
        "splits": said(
            (number, Live(rows, [])) for number, rows in ledger.in_splits(["train", "test"])
        ),
        "changed": [said(ledger.changed(commit)) for commit in range(last + 1)],
        "gone": [sorted(ledger.gone(commit)) for commit in range(last + 1)],
        "unsaid": [sorted(map(repr, ledger.unsaid(commit))) for commit in range(last + 1)],
        "undescribed": sorted(
            contents[number, row] for number in shards for row in ledger.undescribed_in(number)
        ),
        "generated": sorted(
            (contents[number, found.row], found.shard, found.described_row)
            for number in shards
            for found in ledger.generated_in(number)
        ),
        "standing": sorted(
            (contents[number, found.row], found.round, found.round_row)
            for number in shards
            for found in ledger.refined.standing_in(number)
        ),
    }
