"""The composition root: settings in, an engine that answers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from time import monotonic

from PIL.Image import Image

from engine.alignment.alignment import Alignment, PairMoments
from engine.ask.finding import Subject
from engine.ask.pieces import Piece
from engine.ask.reranked import QuestionReranker, beside_captions, beside_words
from engine.ask.reranked import text_of as said_by
from engine.ask.wordings import Wordings
from engine.collection import CollectionCard, CollectionFolder, collection_names
from engine.compare.comparison import Comparison, compare_captions, compare_pictures
from engine.compare.gap import Gap
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.lent import LentCaptions
from engine.describe.reranked import ByAgreement, beside
from engine.describe.retriever import Retriever
from engine.describe.stages import Seen
from engine.errors import (
    AlignmentError,
    CollectionMissing,
    IncompatibleIndex,
    InvalidInput,
    StoreUnavailable,
    UnreadableImage,
)
from engine.generation import Generation, open_generation
from engine.identity import PictureIdentity, identity_of
from engine.images import Picture, open_picture
from engine.models.loaded import CONSENSUS, Models
from engine.rerank.budget import Budget
from engine.rerank.cross_encoder import CrossEncoder
from engine.rerank.judging import Judging
from engine.rerank.kept import Kept
from engine.rerank.reading import captions_of, reading, text_of
from engine.search.copies import Copies, CopiesKeeper
from engine.search.default_space import SpaceChoice
from engine.search.gallery import Gallery
from engine.search.relevance import Relevance
from engine.search.reranked import SearchReranker
from engine.settings import Settings
from engine.store import CaptionStore, ImageStore, picture_id
from engine.store.generations import pointer_stamp
from engine.store.sweeping import sweep
from engine.tags.making import Known, known_of
from engine.types import (
    CaptionHit,
    Chooser,
    Encoder,
    Generator,
    ImageHit,
    MadeWith,
    Matcher,
    RerankMethod,
    TextStream,
)

_SWEEP_AGAIN_S = 5.0


@dataclass(frozen=True)
class CollectionSummary:
    """A collection at a glance; counts are None where there is no index yet.

    `trouble` says so with the remedy. `waiting` says that something newer than what the index
    holds waits to be pushed, and how; what is found is right meanwhile.
    """

    card: CollectionCard
    path: Path
    images: int | None
    captions: int | None
    method: str
    trouble: str = ""
    waiting: str = ""


class Collection:
    """An open collection; its parts are opened when they are first needed."""

    def __init__(self, engine: Engine, folder: CollectionFolder) -> None:
        self.folder = folder
        self.card = folder.read_card()
        self._engine = engine
        self._copies = CopiesKeeper(folder.copies)
        self._lock = RLock()
        self._generation: Generation | None = None
        self._stamp: tuple[int, int] | None = None
        self._fitted: tuple[tuple[int, int], Alignment] | None = None
        self._sweep_at: float | None = None  # when older generations are to be removed, if any
        self._closed = False

    @property
    def encoder(self) -> Encoder:
        """The encoder that the vectors were made with; raises IncompatibleIndex for another."""
        return self._right(self._engine.models.batched_encoder)

    @property
    def filling_encoder(self) -> Encoder:
        """The same encoder, letting those who wait for an answer go in between."""
        return self._right(self._engine.models.filling_encoder)

    @property
    def generator(self) -> Generator | None:
        """The generator that describes; None: consensus of the retrieved captions."""
        return self._engine.models.batched_generator(self._generator_spec)

    @property
    def writes(self) -> bool:
        """Whether there is a generator; loads none."""
        return self._generator_spec != CONSENSUS

    @property
    def answerer(self) -> TextStream | None:
        """What answers questions piece by piece: the model that sees pictures, or the generator.

        None where neither a model that sees nor one that writes is configured.
        """
        models = self._engine.models
        return models.queued_answerer(self._engine.settings.answerer, self._generator_spec)

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
    def current(self) -> Generation:
        """The generation of the index that answers now: map and stores that fit each other.

        Raises CollectionMissing before the first push. One that is held on to goes on answering
        when another one has taken its place, until it is let go of.
        """
        with self._lock:
            self._check_open()
            stamp = pointer_stamp(self.folder)
            now = self._generation
            if now is None or stamp != self._stamp:
                if now is not None:
                    self._sweep_at = monotonic()
                now = self._generation = None
                now = open_generation(self.folder, self.card, self._engine.settings)
                self._generation, self._stamp = now, stamp
        self._sweep()
        return now

    def _sweep(self) -> None:
        """Remove older generations, and again later while somebody still reads one of them."""
        due = self._sweep_at
        if due is not None and monotonic() >= due:
            self._sweep_at = monotonic() + _SWEEP_AGAIN_S
            if sweep(self.folder, self._engine.settings):
                self._sweep_at = None

    @property
    def alignment(self) -> Alignment:
        """The map between the two spaces that the index was written with."""
        return self.current.alignment

    @property
    def fitted(self) -> Alignment:
        """The map that was fitted last, which a push brings into the index.

        Raises CollectionMissing before the first fit.
        """
        with self._lock:
            try:
                status = self.folder.alignment.stat()
            except FileNotFoundError as error:
                raise CollectionMissing(
                    f"collection {self.card.name!r} has no map yet; "
                    f"finish it with: mrag fit {self.card.name} && mrag push {self.card.name}"
                ) from error
            stamp = (status.st_ino, status.st_mtime_ns)
            if self._fitted is None or self._fitted[0] != stamp:
                self._fitted = (stamp, Alignment.load(self.folder.alignment))
            return self._fitted[1]

    @property
    def images(self) -> ImageStore:
        """The index of pictures."""
        return self.current.images

    @property
    def captions(self) -> CaptionStore:
        """The index of this collection's own captions."""
        return self.current.captions

    @property
    def gallery(self) -> Gallery:
        """Finds this collection's pictures."""
        return self._gallery(self.current)

    @property
    def copies(self) -> Copies:
        """Which pictures are copies of one sight, as far as they were compared."""
        return self._copies.copies()

    @property
    def relevance(self) -> Relevance:
        """How likely found pictures are what was asked for; measured once for each generation."""
        return self._relevance(self.current)

    def default_space(self) -> SpaceChoice:
        """In which space words are looked for where none is named, and what that rests on.

        Measured once for what the index holds, with captions that the search does not know; see
        `engine.search.default_space`. A picture alone is looked for in `mapped`.
        """
        return self.current.default_space(self.encoder)

    def _gallery(self, now: Generation) -> Gallery:
        return Gallery(
            self.encoder,
            now.alignment,
            now.images,
            partial(self._relevance, now),
            self.copies,
            lambda: now.default_space(self.encoder).as_captions,
        )

    def wordings(self) -> Wordings:
        """What words of questions are also called in its captions, and in those of its memory."""
        lender = self.card.memory
        return self.current.wordings(self._engine.open(lender).current if lender else None)

    def _relevance(self, now: Generation) -> Relevance:
        lender = self.card.memory
        return now.relevance(self._engine.open(lender).current if lender else None)

    @property
    def retriever(self) -> Retriever:
        """Finds captions for pictures: the collection's own, and its memory's.

        Raises IncompatibleIndex where the memory has been fitted anew since its map was taken.
        """
        return self._retriever(self.current)

    def _retriever(
        self, now: Generation, splits: frozenset[str] = frozenset(), hubs: float = 0.0
    ) -> Retriever:
        lent = (LentCaptions(store, now.alignment) for store in self._lent(now))
        return Retriever([now.captions, *lent], now.alignment, splits=splits, hub_strength=hubs)

    def _lent(self, now: Generation) -> list[CaptionStore]:
        """The captions of the memory, if there is one."""
        lender = self.card.memory
        if not lender:
            return []
        lent = self._engine.open(lender).current
        # A raw map compares raw vectors, which no fit moves.
        if now.alignment.method != "raw" and not now.alignment.maps_texts_like(lent.alignment):
            name = self.card.name
            raise IncompatibleIndex(
                f"memory {lender!r} has been fitted anew since collection {name!r} took its map; "
                f"bring both level with: mrag push {lender} && mrag fit {name} && mrag push {name}"
            )
        return [lent.captions]

    def known(self) -> Known:
        """What labels are learned from: pictures, captions, and those of its memory."""
        now = self.current
        try:
            moments = PairMoments.load(self.folder.moments)
        except AlignmentError:
            moments = None
        return known_of(now.alignment, now.images, [now.captions, *self._lent(now)], moments)

    def captioner(self, options: DescribeOptions | None = None) -> Captioner:
        """Describes pictures with this collection's captions, map and models."""
        return self._captioner(self.encoder, self.generator, options)

    def filling_captioner(self, *, splits: frozenset[str] = frozenset()) -> Captioner:
        """Describes pictures in bulk, letting those who wait for an answer go in between.

        With `splits` only captions of these are borrowed from.
        """
        generator = self._engine.models.filling_generator(self._generator_spec)
        return self._captioner(self.filling_encoder, generator, splits=splits)

    def _captioner(
        self,
        encoder: Encoder,
        generator: Generator | None,
        options: DescribeOptions | None = None,
        *,
        splits: frozenset[str] = frozenset(),
    ) -> Captioner:
        now = self.current  # one for all parts, though another may take its place meanwhile
        retriever = self._retriever(now, splits)
        made_with = self._made_with(now, generator)
        judging = self._caption_judging(options.rerank) if options else None
        return Captioner(encoder, now.alignment, retriever, generator, options, made_with, judging)

    def _made_with(self, now: Generation, generator: Generator | None) -> MadeWith:
        lender = self.card.memory
        lent = self._engine.open(lender).current.lendable() if lender else 0
        return MadeWith(
            generator=CONSENSUS if generator is None else generator.id,
            map=f"{now.alignment.method} {now.alignment.fingerprint}",
            memory=lender,
            captions=now.lendable() + lent,
        )

    def search_reranker(self, method: RerankMethod, budget: Budget) -> SearchReranker | None:
        """Reranks what searches find; None for `off`.

        Raises InvalidInput where there is no model for it, and ModelMissing.
        """
        if method == "off":
            return None
        if method == "picture":
            matcher = self._engine.matcher()
            seen: CrossEncoder[str, ImageHit] = CrossEncoder(matcher, self._beside)
            return SearchReranker(seen, matcher.id, budget, self._engine.kept)
        read = reading(method, self.chooser, captions_of)
        return SearchReranker(read, self.chooser.id, budget, self._engine.kept)

    def _caption_judging(self, method: RerankMethod) -> Judging[Seen, CaptionHit] | None:
        """Reranks the captions for a prompt; as `search_reranker`."""
        if method == "off":
            return None
        if method == "picture":
            return CrossEncoder(self._engine.matcher(), beside)
        return ByAgreement(reading(method, self.chooser, text_of))

    def question_reranker(self, method: RerankMethod, budget: Budget) -> QuestionReranker | None:
        """Reranks what is found for questions; as `search_reranker`."""
        if method == "off":
            return None
        if method == "picture":
            matcher, opened = self._engine.matcher(), self.picture_of
            seen: CrossEncoder[str, Piece] = CrossEncoder(matcher, beside_words(opened))
            given: CrossEncoder[Subject, Piece] = CrossEncoder(matcher, beside_captions(opened))
            return QuestionReranker(seen, given, budget)
        read: Judging[str, Piece] = reading(method, self.chooser, said_by)
        return QuestionReranker(read, ByAgreement(read), budget)

    def _beside(self, words: str, hit: ImageHit) -> tuple[Image, str] | None:
        image = self.picture_of(hit)
        return None if image is None else (image, words)

    def picture_of(self, hit: ImageHit) -> Image | None:
        """A picture of this collection; None where its file cannot be read any more."""
        try:
            return self._engine.open_picture(Path(hit.uri)).image
        except UnreadableImage:
            return None

    @property
    def chooser(self) -> Chooser:
        """The generator as one that judges captions; raises InvalidInput where there is none."""
        chooser = self._engine.models.batched_chooser(self._generator_spec)
        if chooser is None:
            raise InvalidInput(
                "captions are judged by the generator, and there is none here (consensus): name "
                "one with --generator or MRAG_GENERATOR, or rerank by picture"
            )
        return chooser

    def excluded(
        self, pictures: Sequence[str], *, own: bool = False
    ) -> list[PictureIdentity] | None:
        """Whose captions describing these pictures, by sha256, must not borrow: their own.

        They are known by all that the collection calls them. None with `own`, which allows it.
        """
        if own:
            return None
        ids = [picture_id(sha256) for sha256 in pictures]
        known = {hit.id: identity_of(hit) for hit in self.images.get(list(dict.fromkeys(ids)))}
        return [
            known.get(key, PictureIdentity(sha256))
            for key, sha256 in zip(ids, pictures, strict=True)
        ]

    def compare(self, sought: Picture | ImageHit, k: int = 5) -> Comparison[CaptionHit]:
        """The captions nearest to a picture, raw beside mapped.

        One of the collection, given with its vector, needs no model to be loaded.
        """
        now = self.current
        compared = compare_captions(
            sought,
            k,
            encoder=None if isinstance(sought, ImageHit) else self.encoder,
            retriever=self._retriever(now, hubs=now.alignment.hub_strength),
            images=now.images,
        )
        if not compared.raw and not compared.mapped:
            raise CollectionMissing(
                f"collection {self.card.name!r} has no captions to compare with; add some: mrag "
                f"ingest CAPTIONS.txt --collection {self.card.name}"
            )
        return compared

    def compare_pictures(
        self, sought: str | Picture | ImageHit, k: int = 5
    ) -> Comparison[ImageHit]:
        """The pictures nearest to words or to a picture, raw beside mapped; see `compare`."""
        now = self.current
        return compare_pictures(
            sought,
            k,
            encoder=None if isinstance(sought, ImageHit) else self.encoder,
            alignment=now.alignment,
            images=now.images,
            captions=now.captions,
        )

    def gap(self) -> Gap:
        """The modality gap before and after the map, measured once; see GapKeeper."""
        now = self.current
        return now.gap(self._lent(now))

    def summary(self) -> CollectionSummary:
        """Counts and map of this collection."""
        fitted = self.fitted if self.folder.alignment.is_file() else None
        about, name = (self.card, self.folder.path), self.card.name
        try:
            now = self.current
            counts, method = (now.images.count(), now.captions.count()), now.alignment.method
        except (CollectionMissing, StoreUnavailable) as error:
            how = f"{'' if fitted else f'mrag fit {name} && '}mrag push {name}"
            trouble = f"not indexed yet; do it with: {how}"
            if isinstance(error, StoreUnavailable):
                trouble = str(error)
            return CollectionSummary(*about, None, None, fitted.method if fitted else "", trouble)
        waiting = ""
        if fitted is not None and not fitted.maps_like(now.alignment):
            waiting = (
                f"a newer map ({fitted.method}) waits for: mrag push {name}; until then the index "
                "answers with the one that it was written with"
            )
        return CollectionSummary(*about, *counts, method, waiting=waiting)

    def refresh(self) -> None:
        """Read the card again: an ingest may have named another memory or generator."""
        self.card = self.folder.read_card()

    def close(self) -> None:
        """Release the index, so that another process can write to it; open it anew then."""
        with self._lock:
            self._closed = True
            now, self._generation = self._generation, None
        if now is not None:
            now.close()
            sweep(self.folder, self._engine.settings)

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
        self.kept = Kept()
        self.open_picture = partial(open_picture, limits=settings.limits)
        self._open: dict[str, Collection] = {}
        self._lock = RLock()

    def matcher(self) -> Matcher:
        """The model that reranks by picture; raises InvalidInput where none is named."""
        if not self.settings.reranker:
            raise InvalidInput(
                "no model that reranks by picture is named; set MRAG_RERANKER to one, as "
                "Salesforce/blip-itm-base-coco or the folder of a BLIP that matches texts with "
                "images, or rerank by captions: pointwise or listwise"
            )
        return self.models.batched_matcher(self.settings.reranker)

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
