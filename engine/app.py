"""The composition root: settings in, an engine that answers out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock

from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder, collection_names
from engine.compare.comparison import Comparison, compare_captions, compare_pictures
from engine.compare.gap import Gap
from engine.compare.gap_store import GapKeeper
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.retriever import Retriever
from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput
from engine.images import Picture, open_picture
from engine.models.loaded import Models
from engine.search.gallery import Gallery
from engine.search.relevance import Relevance
from engine.settings import Settings
from engine.store import CaptionStore, ImageStore, open_caption_store, open_image_store
from engine.types import CaptionHit, Encoder, Generator, ImageHit


@dataclass(frozen=True)
class CollectionSummary:
    """A collection at a glance; counts are None where the store cannot be asked."""

    card: CollectionCard
    path: Path
    images: int | None
    captions: int | None
    method: str
    trouble: str = ""


class Collection:
    """An open collection; its parts are opened when they are first needed."""

    def __init__(self, engine: Engine, folder: CollectionFolder) -> None:
        self.folder = folder
        self.card = folder.read_card()
        self._engine = engine
        self._lock = RLock()
        self._gap = GapKeeper(folder.gap, folder.name)
        self._images: ImageStore | None = None
        self._captions: CaptionStore | None = None
        self._alignment: Alignment | None = None
        self._alignment_stamp: tuple[int, int] | None = None
        self._relevance: Relevance | None = None
        self._closed = False

    @property
    def encoder(self) -> Encoder:
        """The encoder that the vectors were made with; raises IncompatibleIndex for another."""
        return self._right(self._engine.models.batched_encoder)

    @property
    def generator(self) -> Generator | None:
        """The generator that describes; None: consensus of the retrieved captions."""
        return self._engine.models.batched_generator(self._generator_spec)

    @property
    def _generator_spec(self) -> str:
        return self._engine.settings.generator or self.card.generator

    def _right(self, load: Callable[[str], Encoder]) -> Encoder:
        """The encoder, if it is the one that the vectors were made with."""
        spec = self._engine.settings.encoder or self.card.encoder
        encoder = load(spec)
        if encoder.id != self.card.encoder_id:
            raise IncompatibleIndex(
                f"collection {self.card.name!r} was embedded with {self.card.encoder_id}, but "
                f"{spec} is {encoder.id}; name the right one with --encoder, or ingest into a "
                "new collection"
            )
        return encoder

    @property
    def alignment(self) -> Alignment:
        """The map between the two spaces; raises CollectionMissing before the first fit."""
        with self._lock:
            try:
                status = self.folder.alignment.stat()
            except FileNotFoundError as error:
                self._check_open()
                raise CollectionMissing(
                    f"collection {self.card.name!r} has no map yet; "
                    f"finish it with: mrag fit {self.card.name} && mrag push {self.card.name}"
                ) from error
            # An ingest may have fitted another since; the index holds what that one maps.
            stamp = (status.st_ino, status.st_mtime_ns)
            if self._alignment is None or stamp != self._alignment_stamp:
                self._alignment = Alignment.load(self.folder.alignment)
                self._alignment_stamp = stamp
            return self._alignment

    @property
    def images(self) -> ImageStore:
        """The index of pictures."""
        with self._lock:
            self._check_open()
            if self._images is None:
                self._images = open_image_store(self.folder, self.card, self._engine.settings)
            return self._images

    @property
    def captions(self) -> CaptionStore:
        """The index of this collection's own captions."""
        with self._lock:
            self._check_open()
            if self._captions is None:
                self._captions = open_caption_store(self.folder, self.card, self._engine.settings)
            return self._captions

    @property
    def gallery(self) -> Gallery:
        """Finds this collection's pictures."""
        return Gallery(self.encoder, self.alignment, self.images)

    @property
    def relevance(self) -> Relevance:
        """From which score on a picture is worth showing; measured once for each map."""
        alignment, known = self.alignment, self._relevance
        if known is None or known.alignment is not alignment:
            sources = [self]
            if self.card.memory:
                sources.append(self._engine.open(self.card.memory))
            known = Relevance.of(alignment, self.images, [source.captions for source in sources])
            self._relevance = known
        return known

    @property
    def retriever(self) -> Retriever:
        """Finds captions for pictures: the collection's own, and its memory's.

        Raises IncompatibleIndex where the memory has been fitted anew since its map was taken.
        """
        return self._retriever(self.alignment)

    def _retriever(self, alignment: Alignment, splits: frozenset[str] = frozenset()) -> Retriever:
        return Retriever(self._caption_stores(alignment), alignment, splits=splits)

    def _caption_stores(self, alignment: Alignment) -> list[CaptionStore]:
        stores, lender = [self.captions], self.card.memory
        if lender:
            memory = self._engine.open(lender)
            # A raw map compares raw vectors, which no fit moves.
            if alignment.method != "raw":
                self._check_level(alignment, memory)
            stores.append(memory.captions)
        return stores

    def _check_level(self, alignment: Alignment, memory: Collection) -> None:
        if not alignment.maps_texts_like(memory.alignment):
            name, lender = self.card.name, memory.card.name
            raise IncompatibleIndex(
                f"memory {lender!r} has been fitted anew since collection {name!r} took its map; "
                f"bring both level with: mrag push {lender} && mrag fit {name} && mrag push {name}"
            )

    def captioner(self, options: DescribeOptions | None = None) -> Captioner:
        """Describes pictures with this collection's captions, map and models."""
        return self._captioner(self.encoder, self.generator, options)

    def filling_captioner(self, *, splits: frozenset[str] = frozenset()) -> Captioner:
        """Describes pictures in bulk: past the queues of those who wait for an answer.

        With `splits` only captions of these are borrowed from.
        """
        models = self._engine.models
        encoder, generator = self._right(models.encoder), models.generator(self._generator_spec)
        return self._captioner(encoder, generator, splits=splits)

    def _captioner(
        self,
        encoder: Encoder,
        generator: Generator | None,
        options: DescribeOptions | None = None,
        *,
        splits: frozenset[str] = frozenset(),
    ) -> Captioner:
        alignment = self.alignment  # one for all parts, though it may be fitted anew meanwhile
        retriever = self._retriever(alignment, splits)
        return Captioner(encoder, alignment, retriever, generator, options)

    def compare(self, picture: Picture, k: int = 5) -> Comparison[CaptionHit]:
        """The captions nearest to a picture, raw beside mapped."""
        alignment = self.alignment
        compared = compare_captions(
            picture,
            k,
            encoder=self.encoder,
            retriever=self._retriever(alignment),
            images=self.images,
        )
        if not compared.raw and not compared.mapped:
            raise CollectionMissing(
                f"collection {self.card.name!r} has no captions to compare with; add some: mrag "
                f"ingest CAPTIONS.txt --collection {self.card.name}, or: mrag memory coco"
            )
        return compared

    def compare_pictures(self, sought: str | Picture, k: int = 5) -> Comparison[ImageHit]:
        """The pictures nearest to words or to a picture, raw beside mapped."""
        return compare_pictures(
            sought,
            k,
            encoder=self.encoder,
            alignment=self.alignment,
            images=self.images,
            captions=self.captions,
        )

    def gap(self) -> Gap:
        """The modality gap before and after the map, measured once; see GapKeeper."""
        alignment = self.alignment
        return self._gap.gap(alignment, self.images, self._caption_stores(alignment))

    def summary(self) -> CollectionSummary:
        """Counts and map of this collection."""
        method = self.alignment.method if self.folder.alignment.is_file() else ""
        summary = CollectionSummary(self.card, self.folder.path, None, None, method)
        if method and self.folder.read_level() not in {"", self.alignment.fingerprint}:
            summary = replace(
                summary,
                trouble="its map is newer than its index, so mapped results are wrong for now; "
                f"wait for the ingest that runs, or finish it with: mrag push {self.card.name}",
            )
        try:
            return replace(summary, images=self.images.count(), captions=self.captions.count())
        except CollectionMissing:
            return replace(
                summary, trouble=f"not indexed yet; do it with: mrag push {self.card.name}"
            )

    def refresh(self) -> None:
        """Read the card again: an ingest may have named another memory or generator."""
        self.card = self.folder.read_card()

    def close(self) -> None:
        """Release the indexes, so that another process can write to them; open it anew then."""
        with self._lock:
            self._closed = True
            for store in (self._images, self._captions):
                if store is not None:
                    store.close()
            self._images = self._captions = None

    def _check_open(self) -> None:
        if self._closed:
            raise CollectionMissing(
                f"collection {self.card.name!r} has been closed meanwhile; open it again"
            )


class Engine:
    """Opens collections and answers over them; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = Models(settings)
        self.open_picture = partial(open_picture, limits=settings.limits)
        self._open: dict[str, Collection] = {}
        self._lock = RLock()

    def names(self) -> list[str]:
        """The names of all collections, sorted."""
        return collection_names(self.settings.home)

    def folder(self, name: str) -> CollectionFolder:
        """The folder of a collection, made or not."""
        return CollectionFolder(self.settings.home, name)

    def open(self, name: str = "") -> Collection:
        """Open a collection, by default the one of the settings or else the only one.

        Raises CollectionMissing, and InvalidInput when several could be meant.
        """
        with self._lock:
            name = name or self.settings.collection or self._only_name()
            if name not in self._open:
                self._open[name] = Collection(self, self.folder(name))
            try:
                self._open[name].refresh()
            except CollectionMissing:
                self.release(name)
                raise
            return self._open[name]

    def release(self, name: str) -> None:
        """Close a collection if it is open: those who still hold it must open it again."""
        with self._lock:
            collection = self._open.pop(name, None)
            if collection is not None:
                collection.close()

    def close(self) -> None:
        """Close every open collection, and end the queues of the models."""
        with self._lock:
            for name in list(self._open):
                self.release(name)
        self.models.close()

    def _only_name(self) -> str:
        names = self.names()
        if not names:
            raise CollectionMissing(
                f"there is no collection in {self.settings.home / 'collections'}; make one with: "
                "mrag ingest SOURCE, or try the sample with: mrag demo"
            )
        if len(names) > 1:
            raise InvalidInput(
                f"there are {len(names)} collections ({', '.join(names)}); name one with "
                "--collection NAME or the variable MRAG_COLLECTION"
            )
        return names[0]


def build_engine(settings: Settings | None = None) -> Engine:
    """An engine for the settings, by default those of the environment."""
    return Engine(settings or Settings())
