"""Writes embeddings, mapped, into an index: only what is new, or a new generation aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic

from corpus.ledger import Ledger, Live
from corpus.lock import writing
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.disk import check_room
from engine.errors import (
    AlignmentError,
    CollectionMissing,
    Damaged,
    IncompatibleIndex,
    StoreUnavailable,
)
from engine.files import sync_tree
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_spec,
    image_spec,
    open_caption_store,
    open_image_store,
    picture_id,
    room_for,
)
from engine.store.addresses import same_place
from engine.store.generations import (
    GenerationFolder,
    GenerationState,
    Hold,
    begin,
    change_over,
    current,
)
from engine.store.graph import build_graph, copy_generation
from engine.store.sweeping import next_number, remove, sweep, sweep_all, sweep_old_layout
from engine.types import ImageHit
from ingest.changes import Changes, Written
from ingest.labels import Labels
from ingest.likeness import find_copies

FLUSH_POINTS = 20_000
"""Points between two flushes, and so what a killed push may repeat."""

OPTIMIZE_FROM = 100_000
"""New points that are worth building a graph for.

50,000 captions of 512 dimensions are searched exactly in 4 ms on 2 cores, which is little beside
the models; to build the graphs of as many captions and pictures takes minutes.
"""


@dataclass(frozen=True)
class PushReport:
    """What was written: points, and those deleted; `everything`: into a new generation.

    `labelled` pictures have other labels, and nothing else new. `optimized`: graphs were built.
    `graph_trouble` says why they could not be: until a later push builds them the search stays
    exact, and slow where there is much. `label_troubles`: of taggings that give nothing, as they
    cannot be read.
    """

    images: int
    captions: int
    deleted: int
    everything: bool
    optimized: bool
    seconds: float
    graph_trouble: str = ""
    mended: str = ""
    labelled: int = 0
    label_troubles: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Points written."""
        return self.images + self.captions


def push(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    *,
    rebuild: bool = False,
    keep_map: bool = False,
    on_progress: OnProgress = silent,
) -> PushReport:
    """Bring the index level with the embeddings, generated captions, rounds and map.

    Only what is new is written, unless the map is another one than the index was written with,
    the index has lost points or is kept elsewhere, or `rebuild` asks for it: then a new
    generation is written aside and takes the old one's place once it is whole. The graph of a
    large index is built by a child process, on a generation that does not answer yet. Killed at
    any moment, the index answers as before, and a push that is run again finishes it.

    `keep_map`: what is new is written under the map that the index has, though another was fitted
    since: that is for a later push, which may take long.

    Raises CollectionMissing before the first fit, and what opening the stores raises.
    """
    if not folder.alignment.is_file():
        raise CollectionMissing(
            f"collection {card.name!r} has no map yet; fit one with: mrag fit {card.name}"
        )
    with writing(folder), Ledger.open(folder) as ledger:
        made = _Push(folder, card, settings, ledger, on_progress, keep_map=keep_map)
        return made.all(rebuild)


@dataclass(frozen=True)
class _Stores:
    """The stores of a generation, to be written to."""

    images: ImageStore
    captions: CaptionStore

    def counts(self) -> dict[str, int]:
        return {"images": self.images.count(), "captions": self.captions.count()}

    def flush(self) -> None:
        self.images.flush()
        self.captions.flush()


class _Pushed:
    """The pictures of an index that is level with its ledger, which knows their ids.

    The index is opened for more than that alone: it takes longer than all else about a small one.
    """

    def __init__(self, ledger: Ledger, opened: Callable[[], ImageStore]) -> None:
        self._ledger = ledger
        self._opened = cache(opened)

    def ids(self) -> Iterator[str]:
        return map(picture_id, self._ledger.sha256s())

    def get(self, ids: Sequence[str]) -> list[ImageHit]:
        return self._opened().get(ids)


class _Push:
    """One push."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        ledger: Ledger,
        on_progress: OnProgress,
        *,
        keep_map: bool = False,
    ) -> None:
        self._folder, self._card, self._settings = folder, card, settings
        self._place = settings.qdrant_url  # the server's addresses; empty: the embedded store
        self._ledger = ledger
        self._on_progress = on_progress
        self._alignment = Alignment.load(folder.alignment)
        self._keep_map = keep_map
        self._labels = Labels(folder, card)
        self._written = Written()
        self._optimized, self._graph_trouble, self._mended = False, "", ""

    def all(self, rebuild: bool) -> PushReport:
        """Write what is new into the generation that answers, or all into a new one."""
        started = monotonic()
        sweep_all(self._folder, self._settings)
        answers = current(self._folder)
        grown = False
        if answers is not None and not rebuild:
            try:
                grown = self._add_to(answers)
            except Damaged as error:
                self._mended = str(error).partition(";")[0]
        if not grown:
            answers = self._write_anew()
        assert answers is not None
        self._point_aliases(answers)
        self._compare(current(self._folder) or answers)
        sweep_old_layout(self._folder)
        return PushReport(
            images=self._written.images,
            captions=self._written.captions,
            deleted=self._written.deleted,
            everything=not grown,
            optimized=self._optimized,
            seconds=monotonic() - started,
            graph_trouble=self._graph_trouble,
            mended=self._mended,
            labelled=self._written.labelled,
            label_troubles=self._labels.troubles,
        )

    # The generation that answers

    def _add_to(self, answers: GenerationFolder) -> bool:
        """Write what is new into a generation; False if only another one will do.

        Raises Damaged where it is not what was written.
        """
        state = answers.read_state()
        if state is None:
            raise Damaged(f"what was noted of it in {answers.path} cannot be read")
        if not same_place(state.place, self._place) or not self._has_map(answers):
            return False
        try:
            with self._stores(answers) as stores:
                if any(count < getattr(state, name) for name, count in stores.counts().items()):
                    raise Damaged("points have been lost")
                state = self._brought_level(answers, state, stores)
                if not self._is_whole(state):
                    return False
                if self._is_worth_a_graph(state):
                    self._build_on_copy(answers, state)
        except (CollectionMissing, IncompatibleIndex):
            return False  # what cannot be used is written anew
        if self._optimized:
            sweep(self._folder, self._settings)
        return True

    def _has_map(self, answers: GenerationFolder) -> bool:
        try:
            theirs = Alignment.load(answers.alignment)
        except AlignmentError as error:
            raise Damaged(f"its map in {answers.alignment} is missing or damaged") from error
        if self._keep_map:
            self._alignment = theirs
        if not self._alignment.maps_like(theirs):
            return False
        # What is added is to be told hubs by just the same bank as what is there.
        self._alignment = replace(self._alignment, bank=theirs.bank)
        return True

    def _brought_level(
        self, answers: GenerationFolder, state: GenerationState, stores: _Stores
    ) -> GenerationState:
        """Delete what has gone, write what is new, and note it."""
        changes = self._changes(stores)
        shards = changes.shards(state.commit)
        others = state.tags != self._labels.stamps
        if shards or others or changes.any_gone(state.commit, state.rounds):
            # Until all is written, what the stores hold proves nothing.
            answers.write_state(replace(state, images=0, captions=0))
            changes.delete(state.commit, state.rounds)
            self._write(changes, shards, stores, fresh=False)
            if others:
                self._label(changes, stores)
        stores.flush()  # seals what a killed push has left
        done = self._state(stores, state.graph)
        if done != state:
            answers.write_state(done)
        return done

    def _is_whole(self, state: GenerationState) -> bool:
        """Whether an index holds exactly what the corpus does."""
        there = self._ledger.pictures(), self._ledger.indexed_captions()
        return (state.images, state.captions) == there

    def _build_on_copy(self, answers: GenerationFolder, state: GenerationState) -> None:
        """Build the graph on a copy, which then answers: nobody waits for it."""
        number = next_number(self._folder, self._settings)
        copy = copy_generation(self._folder, answers, number, state)
        with self._kept_if_whole(copy) as hold:
            if self._graph_built(copy, hold, state):
                copy.write_state(replace(state, graph=_counts(state)))
                sync_tree(copy.path)
                change_over(self._folder, number)
        if not self._optimized:
            remove(self._folder, copy, self._settings)

    # A new generation

    def _write_anew(self) -> GenerationFolder:
        """Write everything into a new generation, which answers once it is whole."""
        self._written = Written()
        self._check_room()
        number = next_number(self._folder, self._settings)
        made = begin(self._folder, number, GenerationState(place=self._place))
        with self._kept_if_whole(made) as hold:
            self._alignment.save(made.alignment)
            with self._stores(made, create=True) as stores:
                changes = self._changes(stores)
                self._write(changes, changes.shards(-1), stores, fresh=True)
                state = self._state(stores, {})
            if self._is_worth_a_graph(state) and self._graph_built(made, hold, state):
                state = replace(state, graph=_counts(state))
            made.write_state(state)
            if not self._place:
                sync_tree(made.path)
            change_over(self._folder, number)
        sweep(self._folder, self._settings)
        return made

    def _check_room(self) -> None:
        """Raise DiskFull before hours of writing end in it."""
        counts = {
            image_spec(self._card): self._ledger.pictures(),
            caption_spec(self._card): self._ledger.indexed_captions(),
        }
        needed = sum(room_for(points, spec) for spec, points in counts.items())
        if not self._place:
            check_room(self._folder.index, needed, "to write the index")

    @contextmanager
    def _kept_if_whole(self, made: GenerationFolder) -> Iterator[Hold]:
        """Hold a generation that is being made; what does not become whole goes at once."""
        hold = Hold(made)
        try:
            yield hold
        except BaseException:
            hold.close()
            answers = current(self._folder)
            if answers is None or answers.number != made.number:
                remove(self._folder, made, self._settings)
            raise
        hold.close()

    def _is_worth_a_graph(self, state: GenerationState) -> bool:
        """Whether many points have come since the graph was built; a server does so itself."""
        return not self._place and any(
            count - state.graph.get(name, 0) >= OPTIMIZE_FROM
            for name, count in _counts(state).items()
        )

    def _graph_built(self, made: GenerationFolder, hold: Hold, state: GenerationState) -> bool:
        """Build the graph; whether it is there. Raises StoreUnavailable if points were lost."""
        started = monotonic()

        def tick() -> None:
            self._on_progress(Progress("build the graph (seconds)", int(monotonic() - started)))

        tick()
        self._graph_trouble = build_graph(made, hold, tick)
        self._optimized = not self._graph_trouble
        with self._stores(made) as stores:
            stores.flush()
            if stores.counts() != _counts(state):
                raise StoreUnavailable(
                    f"points of {made.path} were lost while its graph was built "
                    f"({self._graph_trouble or 'it ended well'}); check that the disk has space, "
                    f"and run it again: mrag push {self._card.name}"
                )
        return self._optimized

    def _point_aliases(self, answers: GenerationFolder) -> None:
        if self._place:
            from engine.store.server_collections import point_aliases

            point_aliases(self._settings, self._folder.name, answers.number)

    def _compare(self, answers: GenerationFolder) -> None:
        """Find copies among pictures that a fill has looked at; others wait until they are asked
        for, as all of them would have to be decoded."""
        folder, settings = self._folder, self._settings
        with ExitStack() as stack:

            def opened() -> ImageStore:
                images = open_image_store(folder, self._card, settings, number=answers.number)
                return stack.enter_context(images)

            images = _Pushed(self._ledger, opened)
            find_copies(folder, images, settings, look=False, on_progress=self._on_progress)

    # Points

    @contextmanager
    def _stores(self, generation: GenerationFolder, create: bool = False) -> Iterator[_Stores]:
        folder, card, settings = self._folder, self._card, self._settings
        number = generation.number
        with (
            open_image_store(folder, card, settings, number=number, create=create) as images,
            open_caption_store(folder, card, settings, number=number, create=create) as captions,
        ):
            yield _Stores(images, captions)

    def _state(self, stores: _Stores, graph: Mapping[str, int]) -> GenerationState:
        rounds = tuple(self._ledger.refined.rounds())
        # Not the latest that is there: a later one may have been compacted away, and none is
        # given twice that an index has seen.
        commit = self._ledger.next_commit() - 1
        return GenerationState(
            commit,
            rounds,
            **stores.counts(),
            place=self._place,
            graph=graph,
            tags=self._labels.stamps,
        )

    def _changes(self, stores: _Stores) -> Changes:
        return Changes(
            self._folder,
            self._ledger,
            self._alignment,
            stores.images,
            stores.captions,
            self._written,
            self._labels,
        )

    def _write(
        self, changes: Changes, shards: Sequence[tuple[int, Live]], stores: _Stores, *, fresh: bool
    ) -> None:
        points = 0
        for done, (number, live) in enumerate(shards):
            check_cancelled()
            self._on_progress(Progress("push", done, len(shards)))
            points += changes.write(number, live, fresh=fresh)
            if points >= FLUSH_POINTS:
                stores.flush()
                points = 0
        stores.flush()
        if shards:
            self._on_progress(Progress("push", len(shards), len(shards)))

    def _label(self, changes: Changes, stores: _Stores) -> None:
        """Give all pictures the labels of the taggings as they are now."""
        shards = self._ledger.shards()
        points = 0
        for done, file in enumerate(shards):
            check_cancelled()
            self._on_progress(Progress("label", done, len(shards)))
            points += changes.label(file.number)
            if points >= FLUSH_POINTS:
                stores.flush()
                points = 0
        stores.flush()


def _counts(state: GenerationState) -> dict[str, int]:
    return {"images": state.images, "captions": state.captions}
