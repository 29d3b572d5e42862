"""Writes embeddings, mapped, into the stores: only what is new, and again all if the map is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

from corpus.ledger import Ledger, Store
from corpus.lock import writing
from corpus.refined import RefinedReader
from corpus.shards import DescribedShard, read_described, read_shard, shard_path
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import CollectionMissing
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.settings import Settings
from engine.store import CaptionStore, ImageStore, open_caption_store, open_image_store
from ingest.points import Caption, points_of

_DELETE_BATCH = 1000

FLUSH_POINTS = 20_000
"""Points between two flushes, and so what a killed push may repeat."""

OPTIMIZE_FROM = 100_000
"""New points that are worth building a graph for.

50,000 captions of 512 dimensions are searched exactly in 4 ms on 2 cores, which is little beside
the models; to build the graphs of as many captions and pictures takes minutes.
"""


@dataclass(frozen=True)
class PushReport:
    """What was written: points, and those deleted; `everything`: all was written again."""

    images: int
    captions: int
    deleted: int
    everything: bool
    optimized: bool
    seconds: float

    @property
    def points(self) -> int:
        """Points written."""
        return self.images + self.captions


def push(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    *,
    optimize: bool = True,
    on_progress: OnProgress = silent,
) -> PushReport:
    """Bring the stores level with the embeddings, generated captions, rounds and map.

    Only what is new is written, unless the map has changed or the stores have lost points.
    Ids follow from content, and a shard counts as pushed once the stores have flushed it, so
    that a push may be killed at any moment and run again. `optimize` builds the graph where it
    is worth it, which stops every thread of this process for minutes: a process that also
    answers leaves it to a push of another day.

    Raises CollectionMissing before the first fit, and what opening the stores raises.
    """
    if not folder.alignment.is_file():
        raise CollectionMissing(
            f"collection {card.name!r} has no map yet; fit one with: mrag fit {card.name}"
        )
    with ExitStack() as stack:
        stack.enter_context(writing(folder))
        ledger = stack.enter_context(Ledger.open(folder))
        images = stack.enter_context(open_image_store(folder, card, settings, create=True))
        captions = stack.enter_context(open_caption_store(folder, card, settings, create=True))
        run = _Push(folder, ledger, images, captions, settings.qdrant_url, on_progress)
        return run.all(optimize)


class _Push:
    """One push."""

    def __init__(
        self,
        folder: CollectionFolder,
        ledger: Ledger,
        images: ImageStore,
        captions: CaptionStore,
        place: str,
        on_progress: OnProgress,
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._images, self._captions = images, captions
        self._place = place  # the server's address; empty: the embedded store
        self._on_progress = on_progress
        self._alignment = Alignment.load(folder.alignment)
        self._described = _DescribedReader(folder)
        self._refined = RefinedReader(folder.rounds)
        self._images_written = self._captions_written = 0

    def all(self, optimize: bool) -> PushReport:
        """Delete what has been superseded, write what is new, and optimize if it is worth it."""
        started = monotonic()
        everything = self._lost()
        if everything:
            self._ledger.note_pushed(self._ledger.shards(), "")
            self._ledger.note_fact("graph", {"images": 0, "captions": 0})
        self._note_counts(0, 0)  # until all is written, what the stores hold proves nothing
        deleted = self._delete("images", self._images) + self._delete("captions", self._captions)
        self._write(self._ledger.unpushed(self._alignment.fingerprint))
        self._note_counts(self._images.count(), self._captions.count())
        self._folder.write_level(self._alignment.fingerprint)
        optimized = False
        if optimize:
            optimized = self._optimize("images", self._images)
            optimized |= self._optimize("captions", self._captions)
        return PushReport(
            images=self._images_written,
            captions=self._captions_written,
            deleted=deleted,
            everything=everything,
            optimized=optimized,
            seconds=monotonic() - started,
        )

    def _lost(self) -> bool:
        """Whether the stores are not those, or not all of those, that were written to."""
        pushed = self._ledger.fact("pushed")
        return pushed is not None and (
            pushed["place"] != self._place
            or pushed["fingerprint"] != self._alignment.fingerprint
            or self._images.count() < pushed["images"]
            or self._captions.count() < pushed["captions"]
        )

    def _note_counts(self, images: int, captions: int) -> None:
        counts = {"images": images, "captions": captions}
        about = {"place": self._place, "fingerprint": self._alignment.fingerprint}
        self._ledger.note_fact("pushed", about | counts)

    def _delete(self, name: Store, store: ImageStore | CaptionStore) -> int:
        deleted = 0
        while ids := self._ledger.doomed(name, _DELETE_BATCH):
            store.delete(ids)
            store.flush()
            self._ledger.note_deleted(name, ids)
            deleted += len(ids)
        return deleted

    def _write(self, shards: list[int]) -> None:
        unflushed: list[int] = []
        points = 0
        for done, number in enumerate(shards):
            check_cancelled()
            self._on_progress(Progress("push", done, len(shards)))
            points += self._write_shard(number)
            unflushed.append(number)
            if points >= FLUSH_POINTS:
                self._flush(unflushed)
                unflushed, points = [], 0
        self._flush(unflushed)
        if shards:
            self._on_progress(Progress("push", len(shards), len(shards)))

    def _write_shard(self, number: int) -> int:
        shard = read_shard(shard_path(self._folder.embeddings, number))
        live = self._ledger.live_rows(number)
        generated = {
            found.row: self._described.caption(found.text, found.shard, found.described_row)
            for found in self._ledger.generated_in(number)
        }
        standing = self._refined.by_picture(self._ledger.refined.standing_in(number))
        refined = {
            row: [Caption(one.text, vector, one.round) for one, vector in captions]
            for row, captions in standing.items()
        }
        images, captions = points_of(shard, live, generated, self._alignment, refined)
        self._images.upsert(images)
        self._captions.upsert(captions)
        self._images_written += len(images)
        self._captions_written += len(captions)
        return len(images) + len(captions)

    def _flush(self, shards: Sequence[int]) -> None:
        if not shards:
            return
        self._images.flush()
        self._captions.flush()
        self._ledger.note_pushed(shards, self._alignment.fingerprint)

    def _optimize(self, name: Store, store: ImageStore | CaptionStore) -> bool:
        """Build the graph if many points have come since it was built; a server does so itself."""
        graph = self._ledger.fact("graph") or {"images": 0, "captions": 0}
        count = store.count()
        if self._place or count - graph[name] < OPTIMIZE_FROM:
            return False
        # Said beforehand: meanwhile no thread of this process runs, so no clock and no bar moves.
        stage = f"optimize {name} (takes minutes)"
        self._on_progress(Progress(stage, 0))
        store.optimize()
        self._ledger.note_fact("graph", graph | {name: count})
        self._on_progress(Progress(stage, count, count))
        return True


class _DescribedReader:
    """Reads generated captions and keeps the shard read last, for rows that lie together."""

    def __init__(self, folder: CollectionFolder) -> None:
        self._folder = folder.generated
        self._kept: tuple[int, DescribedShard] | None = None

    def caption(self, text: str, number: int, row: int) -> Caption:
        """The caption in a row of a shard of generated captions."""
        if self._kept is None or self._kept[0] != number:
            self._kept = (number, read_described(shard_path(self._folder, number)))
        return Caption(text, self._kept[1].captions[row])
