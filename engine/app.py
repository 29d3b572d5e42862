"""The composition root: settings in, an engine that answers out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock

from engine.alignment import Alignment
from engine.captioner import Captioner, DescribeOptions
from engine.collection import CollectionCard, CollectionFolder, collection_names
from engine.encoder import load_encoder
from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput
from engine.gallery import Gallery
from engine.generator import load_generator
from engine.images import Picture, open_picture
from engine.retriever import Retriever
from engine.settings import Settings
from engine.store import CaptionStore, ImageStore, open_caption_store, open_image_store
from engine.timing import Stopwatch
from engine.types import (
    SPACES,
    CaptionHit,
    Comparison,
    Encoder,
    Generator,
    Space,
)

CONSENSUS = "consensus"
"""The generator that is none: the description is the consensus of the retrieved captions."""


@dataclass(frozen=True)
class CollectionSummary:
    """A collection at a glance; counts are None where the store cannot be asked."""

    card: CollectionCard
    path: Path
    images: int | None
    captions: int | None
    method: str
    trouble: str = ""


class Models:
    """Encoders and generators, each loaded once for all collections and threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoders: dict[str, Encoder] = {}
        self._generators: dict[str, Generator] = {}
        self._lock = RLock()

    def encoder(self, spec: str) -> Encoder:
        """The encoder of a spec (see Settings); raises ModelMissing."""
        settings = self._settings
        with self._lock:
            if spec not in self._encoders:
                self._encoders[spec] = load_encoder(
                    spec,
                    device=settings.device,
                    precision=settings.precision,
                    batch_size=settings.batch_size,
                )
            return self._encoders[spec]

    def generator(self, spec: str) -> Generator | None:
        """The generator of a spec, None for `consensus`; raises ModelMissing."""
        if spec == CONSENSUS:
            return None
        settings = self._settings
        with self._lock:
            if spec not in self._generators:
                self._generators[spec] = load_generator(
                    spec, device=settings.device, precision=settings.precision
                )
            return self._generators[spec]


class Collection:
    """An open collection; its parts are opened when they are first needed."""

    def __init__(self, engine: Engine, folder: CollectionFolder) -> None:
        self.folder = folder
        self.card = folder.read_card()
        self._engine = engine
        self._lock = RLock()
        self._images: ImageStore | None = None
        self._captions: CaptionStore | None = None
        self._alignment: Alignment | None = None
        self._alignment_stamp: tuple[int, int] | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder that the vectors were made with; raises IncompatibleIndex for another."""
        spec = self._engine.settings.encoder or self.card.encoder
        encoder = self._engine.models.encoder(spec)
        if encoder.id != self.card.encoder_id:
            raise IncompatibleIndex(
                f"collection {self.card.name!r} was embedded with {self.card.encoder_id}, but "
                f"{spec} is {encoder.id}; name the right one with --encoder, or ingest into a "
                "new collection"
            )
        return encoder

    @property
    def generator(self) -> Generator | None:
        """The generator that describes; None: consensus of the retrieved captions."""
        return self._engine.models.generator(self._engine.settings.generator or self.card.generator)

    @property
    def alignment(self) -> Alignment:
        """The map between the two spaces; raises CollectionMissing before the first fit."""
        with self._lock:
            try:
                status = self.folder.alignment.stat()
            except FileNotFoundError as error:
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
            if self._images is None:
                self._images = open_image_store(self.folder, self.card, self._engine.settings)
            return self._images

    @property
    def captions(self) -> CaptionStore:
        """The index of this collection's own captions."""
        with self._lock:
            if self._captions is None:
                self._captions = open_caption_store(self.folder, self.card, self._engine.settings)
            return self._captions

    @property
    def gallery(self) -> Gallery:
        """Finds this collection's pictures."""
        return Gallery(self.encoder, self.alignment, self.images)

    @property
    def retriever(self) -> Retriever:
        """Finds captions for pictures: the collection's own, and its memory's.

        Raises IncompatibleIndex where the memory has been fitted anew since its map was taken.
        """
        stores = [self.captions]
        if self.card.memory:
            memory = self._engine.open(self.card.memory)
            # A raw map compares raw vectors, which no fit moves.
            if self.alignment.method != "raw":
                self._check_level_with(memory)
            stores.append(memory.captions)
        return Retriever(stores, self.alignment)

    def _check_level_with(self, memory: Collection) -> None:
        if not self.alignment.maps_texts_like(memory.alignment):
            name, lender = self.card.name, memory.card.name
            raise IncompatibleIndex(
                f"memory {lender!r} has been fitted anew since collection {name!r} took its map; "
                f"bring both level with: mrag push {lender} && mrag fit {name} && mrag push {name}"
            )

    def captioner(self, options: DescribeOptions | None = None) -> Captioner:
        """Describes pictures with this collection's captions, map and models."""
        return Captioner(self.encoder, self.alignment, self.retriever, self.generator, options)

    def compare(
        self, picture: Picture, k: int = 5, *, per_image: int = DescribeOptions.per_image
    ) -> Comparison:
        """The captions nearest to a picture, raw beside mapped."""
        watch = Stopwatch()
        with watch.stage("encode"):
            raw = self.encoder.encode_images([picture.image])
        found: dict[Space, list[CaptionHit]] = {}
        for space in SPACES:
            with watch.stage(f"retrieve {space}"):
                queries = self.retriever.query_vectors(raw, space)
                (found[space],) = self.retriever.nearest(queries, space, k, per_image=per_image)
        if not any(found.values()):
            raise CollectionMissing(
                f"collection {self.card.name!r} has no captions to compare with; add some: mrag "
                f"ingest CAPTIONS.txt --collection {self.card.name}, or: mrag memory coco"
            )
        shared = {hit.id for hit in found["raw"]} & {hit.id for hit in found["mapped"]}
        return Comparison(
            raw=tuple(found["raw"]),
            mapped=tuple(found["mapped"]),
            overlap=len(shared) / max(1, len(found["raw"]), len(found["mapped"])),
            timings_ms=watch.timings_ms,
        )

    def summary(self) -> CollectionSummary:
        """Counts and map of this collection."""
        method = self.alignment.method if self.folder.alignment.is_file() else ""
        summary = CollectionSummary(self.card, self.folder.path, None, None, method)
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
        """Release the indexes, so that another process can write to them."""
        with self._lock:
            for store in (self._images, self._captions):
                if store is not None:
                    store.close()
            self._images = self._captions = None


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
            if name in self._open:
                self._open[name].refresh()
            else:
                self._open[name] = Collection(self, self.folder(name))
            return self._open[name]

    def close(self) -> None:
        """Close every open collection."""
        with self._lock:
            for collection in self._open.values():
                collection.close()
            self._open.clear()

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
