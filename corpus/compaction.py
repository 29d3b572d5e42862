"""Moves living rows into new shards, and lets go of what has been superseded.

A row keeps the commit that it was last changed in, so that nothing is pushed again for it; and of
rows of one content and commit it makes no difference which one is read. So a kill at any moment
leaves the same collection, at worst in more files than it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpus.arrays import numbers
from corpus.corrections import CorrectionShard, write_corrections
from corpus.described import DescribedShard, move_described
from corpus.ledger import Ledger, Live
from corpus.lock import writing
from corpus.metadata_column import with_metadata
from corpus.parquet import ShardFile, shard_files
from corpus.shards import SCHEMA, Shard, write_rows
from corpus.tables import loose_key
from engine.collection import CollectionFolder
from engine.files import sync_folder
from engine.folder_lock import unread
from engine.progress import OnProgress, Progress, check_cancelled, silent

DEAD_SHARE = 1 / 3
"""From this share of dead rows on an ingest compacts by itself.

Files that are touched, all of them, cost as much again each time; to write them together costs
about a hundredth of encoding them. See `benchmarks.corpus`.
"""

SHARD_BYTES = 2**25
"""About so many bytes of vectors go into a shard; those of less than a quarter are put together."""

_MOST_ROWS = 16_384


@dataclass(frozen=True)
class CompactReport:
    """Bytes of all shards before and after, and the rows that were let go of."""

    bytes_before: int
    bytes_after: int
    rows_dropped: int
    shards_before: int
    shards_after: int


def dead_share(folder: CollectionFolder) -> float:
    """The share of rows that have been superseded."""
    with Ledger.read(folder) as ledger:
        living, rows = ledger.rows()
        described = sum(DescribedShard(file).columns.rows for file in ledger.described_shards())
        living, rows = living + ledger.descriptions(), rows + described
    return 1 - living / rows if rows else 0.0


def compact(
    folder: CollectionFolder, *, pushed: int, on_progress: OnProgress = silent
) -> CompactReport:
    """Write what lives in shards with dead rows, and in small ones, into new shards.

    `pushed`: the commit up to which the index knows what has been withdrawn, so that this need
    not be remembered any longer. Files that somebody still reads go at the next compaction.
    Raises StoreLocked while another process writes.
    """
    with writing(folder), Ledger.open(folder) as ledger:
        before, (living, rows) = _sizes(folder), ledger.rows()
        _compact_embeddings(folder, ledger, pushed, on_progress)
        _compact_described(folder, ledger)
        merged = _merged_corrections(folder, ledger)
        _remove_dead(folder, ledger, pushed, merged)
        after = _sizes(folder)
        return CompactReport(sum(before), sum(after), rows - living, len(before), len(after))


def _compact_embeddings(
    folder: CollectionFolder, ledger: Ledger, pushed: int, on_progress: OnProgress
) -> None:
    chosen = [file for file in ledger.shards() if _is_worth_it(file, ledger)]
    if len(chosen) == 1 and not _has_dead(chosen[0], ledger):
        return  # a small one alone would only be copied
    draft: list[_Rows] = []
    for done, file in enumerate(chosen):
        check_cancelled()
        on_progress(Progress("compact", done, len(chosen)))
        draft.append(_living(file, ledger, pushed))
        if sum(rows.bytes for rows in draft) >= SHARD_BYTES or _count(draft) >= _MOST_ROWS:
            _write(folder, ledger, draft)
            draft = []
    _write(folder, ledger, draft)
    on_progress(Progress("compact", len(chosen), len(chosen)))


def _is_worth_it(file: ShardFile, ledger: Ledger) -> bool:
    if not _alive(ledger.live(file.number)):
        return False  # nothing to move
    small = file.path.stat().st_size < SHARD_BYTES // 4
    few = sum(ledger.counts(file.number)) < _MOST_ROWS // 4
    return _has_dead(file, ledger) or (small and few)


def _has_dead(file: ShardFile, ledger: Ledger) -> bool:
    return _alive(ledger.live(file.number)) < sum(ledger.counts(file.number))


def _alive(live: Live) -> int:
    return len(live.pictures) + len(live.loose)


@dataclass(frozen=True)
class _Rows:
    """What is kept of a shard: pictures, loose captions, and withdrawals."""

    parts: tuple[pa.Table, pa.Table, pa.Table]
    bytes: int
    commit: int
    dim: int
    encoder_id: str


def _living(file: ShardFile, ledger: Ledger, pushed: int) -> _Rows:
    shard = Shard(file)
    live = ledger.live(file.number)
    table = with_metadata(shard.columns.table()).select(SCHEMA.names)
    gone = _needed(shard, ledger, pushed)
    parts = (
        table.take(numbers(live.pictures)),
        table.take(numbers(live.loose)),
        table.take(numbers(gone)),
    )
    size = sum(part.nbytes for part in parts)
    return _Rows(parts, size, shard.commit, shard.columns.dim, shard.encoder_id)


def _needed(shard: Shard, ledger: Ledger, pushed: int) -> list[int]:
    """The rows of withdrawals that an index has still to be told of."""
    first = shard.pictures + shard.loose
    if not shard.withdrawn:
        return []
    gone = set(ledger.gone(pushed)), set(map(loose_key, ledger.unsaid(pushed)))
    return [
        first + at
        for at, one in enumerate(shard.gone())
        if one.since > pushed
        and (loose_key(one.caption) in gone[1] if one.caption else one.sha256 in gone[0])
    ]


def _count(draft: Sequence[_Rows]) -> int:
    return sum(part.num_rows for rows in draft for part in rows.parts)


def _write(folder: CollectionFolder, ledger: Ledger, draft: Sequence[_Rows]) -> None:
    if not _count(draft):
        return
    parts = [pa.concat_tables([rows.parts[at] for rows in draft]) for at in range(3)]
    counts = (parts[0].num_rows, parts[1].num_rows, parts[2].num_rows)
    table = pa.concat_tables(parts).combine_chunks()
    latest = max(rows.commit for rows in draft)
    first = draft[0]
    file = write_rows(
        folder.embeddings,
        ledger.next_shard(),
        table,
        counts,
        latest,
        first.dim,
        first.encoder_id,
    )
    ledger.take(file)


def _compact_described(folder: CollectionFolder, ledger: Ledger) -> None:
    for file in ledger.described_shards():
        rows = ledger.described_rows(file.number)
        if rows:
            number = ledger.next_described_shard()
            moved = move_described(file, rows, folder.generated, number)
            if moved is not None:
                ledger.take_described(moved)


def _merged_corrections(folder: CollectionFolder, ledger: Ledger) -> list[ShardFile]:
    """Write all corrections into one shard; those that this puts out of use. None is let go of."""
    files = list(shard_files(folder.corrections).values())
    if len(files) < 2:
        return []
    shards = [CorrectionShard(file) for file in files]
    rows = [row for shard in shards for row in shard.all()]
    order = sorted(range(len(rows)), key=lambda at: (rows[at][1], at))
    vectors = np.concatenate([shard.vectors for shard in shards])
    known: dict[str, int] = {}
    for at in order:  # a kill may have left the same ones in two files
        known.setdefault(rows[at][0].id, at)
    kept = list(known.values())
    merged = write_corrections(
        folder.corrections,
        ledger.corrected.next_shard(),
        [rows[at][0] for at in kept],
        vectors[kept],
        commits=[rows[at][1] for at in kept],
        encoder_id=shards[0].encoder_id,
    )
    ledger.add_corrections(merged)
    return files


def _remove_dead(
    folder: CollectionFolder, ledger: Ledger, pushed: int, merged: Sequence[ShardFile]
) -> None:
    """Remove the files of which no row lives, unless somebody reads them."""
    with unread(folder.embeddings) as alone:
        if not alone:
            return
        dead = [file for file in ledger.shards() if _is_dead(file, ledger, pushed)]
        described = [
            file for file in ledger.described_shards() if not ledger.described_rows(file.number)
        ]
        ledger.forget_shards(dead)
        ledger.forget_described(described)
        ledger.corrected.forget([file.number for file in merged], ledger.captions_at)
        for file in (*dead, *described, *merged):
            file.path.unlink(missing_ok=True)
        sync_folder(folder.embeddings)


def _is_dead(file: ShardFile, ledger: Ledger, pushed: int) -> bool:
    return not _alive(ledger.live(file.number)) and not _needed(Shard(file), ledger, pushed)


def _sizes(folder: CollectionFolder) -> list[int]:
    return [
        file.path.stat().st_size
        for place in (folder.embeddings, folder.generated)
        for file in shard_files(place).values()
    ]
