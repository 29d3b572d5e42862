"""One generation of a collection's index, open: its stores, and the map they were written with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from threading import RLock

from engine.alignment.alignment import Alignment
from engine.ask.wordings import Wordings, wordings_of
from engine.collection import CollectionCard, CollectionFolder
from engine.compare.gap import Gap
from engine.compare.gap_store import GapKeeper
from engine.errors import AlignmentError, CollectionMissing, Damaged
from engine.search.default_space import SpaceChoice, choose_space
from engine.search.default_space_store import DefaultSpaceKeeper
from engine.search.relevance import Relevance
from engine.search.relevance_sample import Sample, take_sample
from engine.search.relevance_store import SampleKeeper
from engine.settings import Settings
from engine.store import CaptionStore, ImageStore, open_caption_store, open_image_store
from engine.store.generations import GenerationFolder, Hold, answering, current
from engine.types import Encoder, Filters

_ATTEMPTS = 5


class Generation:
    """Map, stores and what was measured of them, which fit each other whatever happens meanwhile.

    It is not removed while this lives. The stores are opened when they are first needed, and are
    let go of with the last one who uses them, or by `close`.
    """

    def __init__(
        self,
        place: GenerationFolder,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
    ) -> None:
        """Raises CollectionMissing where it has been removed meanwhile."""
        self._hold = Hold(place)
        self._place, self._folder, self._card, self._settings = place, folder, card, settings
        self._lock = RLock()
        self._images: ImageStore | None = None
        self._captions: CaptionStore | None = None
        self._alignment: Alignment | None = None
        self._gap: GapKeeper | None = None
        self._samples = SampleKeeper(place.relevance)
        self._relevance: Relevance | None = None
        self._default_space = DefaultSpaceKeeper(place.default_space)
        self._lendable: tuple[str, int] | None = None
        self._wordings: tuple[object, Wordings] | None = None
        self._closed = False

    @property
    def number(self) -> int:
        """Which one it is; a later one has a higher number."""
        return self._place.number

    @property
    def alignment(self) -> Alignment:
        """The map that the points were written with."""
        with self._lock:
            if self._alignment is None:
                try:
                    self._alignment = Alignment.load(self._place.alignment)
                except AlignmentError as error:
                    raise Damaged(
                        f"the map of the index in {self._place.path} is missing or damaged; write "
                        f"the index again with: mrag push {self._card.name} --rebuild"
                    ) from error
            return self._alignment

    @property
    def images(self) -> ImageStore:
        """The pictures."""
        with self._lock:
            self._check_open()
            if self._images is None:
                self._images = open_image_store(
                    self._folder, self._card, self._settings, number=self.number
                )
            return self._images

    @property
    def captions(self) -> CaptionStore:
        """The collection's own captions."""
        with self._lock:
            self._check_open()
            if self._captions is None:
                self._captions = open_caption_store(
                    self._folder, self._card, self._settings, number=self.number
                )
            return self._captions

    @property
    def written(self) -> str:
        """Says which generation it is and what is in it: another text where either has changed."""
        state = self._place.read_state()
        counts = None if state is None else [state.commit, state.rounds, state.images]
        return json.dumps([self.number, counts, state and state.captions])

    def lendable(self) -> int:
        """How many of its captions descriptions may be made from."""
        written = self.written
        with self._lock:
            if self._lendable is None or self._lendable[0] != written:
                self._lendable = written, self.captions.count(Filters(proven=True))
            return self._lendable[1]

    @property
    def held(self) -> tuple[int, int]:
        """How many pictures and captions it holds; 0 while a push is at work."""
        state = self._place.read_state()
        return (0, 0) if state is None else (state.images, state.captions)

    def gap(self, lent: Sequence[CaptionStore]) -> Gap:
        """The modality gap before and after the map; `lent` are a memory's captions."""
        with self._lock:
            if self._gap is None:
                self._gap = GapKeeper(self._place.gap, self._card.name, self.alignment)
            keeper = self._gap
        return keeper.gap(self.images, [self.captions, *lent])

    def wordings(self, lender: Generation | None = None) -> Wordings:
        """What words are also called, by its captions and those of a memory."""
        sources = [self] if lender is None else [self, lender]
        made_of = tuple((one.number, *one.held) for one in sources)
        with self._lock:
            if self._wordings is None or self._wordings[0] != made_of:
                self._wordings = made_of, wordings_of([one.images for one in sources])
            return self._wordings[1]

    def relevance(self, lender: Generation | None = None) -> Relevance:
        """How likely found pictures are what was asked for; `lender` is that of a memory."""
        lent = None if lender is None else lender.relevance()
        sources = [self] if lender is None else [self, lender]

        def take() -> Sample:
            stores = [one.captions for one in sources]
            return take_sample(self.images, stores, self.alignment.dim)

        held = tuple(count for one in sources for count in one.held)
        sample = self._samples.sample([one.number for one in sources], held, take)
        with self._lock:
            kept = self._relevance
            if kept is None or kept.sample is not sample or kept.lent is not lent:
                kept = self._relevance = Relevance(self.alignment, sample, lent)
            return kept

    def default_space(self, encoder: Encoder) -> SpaceChoice:
        """In which space words are looked for where none is named."""
        return self._default_space.choice(
            self.written,
            lambda: choose_space(self.images, self.captions, self.alignment, encoder),
        )

    def close(self) -> None:
        """Release the indexes, so that another process can write to them."""
        with self._lock:
            self._closed = True
            for store in (self._images, self._captions):
                if store is not None:
                    store.close()
            self._images = self._captions = None
            self._hold.close()

    def _check_open(self) -> None:
        if self._closed:
            raise CollectionMissing(
                f"collection {self._card.name!r} has been closed meanwhile; open it again"
            )


def open_generation(
    folder: CollectionFolder, card: CollectionCard, settings: Settings
) -> Generation:
    """Open the generation that answers; raises CollectionMissing without any."""
    for attempt in range(_ATTEMPTS):
        place, _ = answering(folder, settings.qdrant_url)
        try:
            return Generation(place, folder, card, settings)
        except CollectionMissing:
            # A push may have changed over and removed it since the pointer was read.
            now = current(folder)
            if attempt == _ATTEMPTS - 1 or (now is not None and now.number == place.number):
                raise
    raise AssertionError("the loop returns or raises")
