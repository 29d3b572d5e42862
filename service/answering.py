"""Answers over an engine of this process: what the terminal, the API and agents call."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL.Image import Image

from engine.app import Collection, Engine
from engine.describe.captioner import Captioner, each_described
from engine.errors import InvalidInput, MragError, UnreadableImage
from engine.identity import PictureIdentity, identity_of
from engine.images import Picture
from engine.progress import check_cancelled
from engine.rerank.budget import Budget
from engine.search.gallery import COSINE_SPACES, Query
from engine.search.language import Search
from engine.search.naming import not_here, spelled_out
from engine.store import store_status
from engine.timing import Stopwatch
from engine.types import CaptionResult, DateOrder, Filters, ImageHit, SearchSpace
from ingest.delete import delete
from ingest.jobs.learner import Learner
from ingest.sources import Sources
from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.models import (
    AskAnswer,
    AskEvent,
    AskOptions,
    CaptionOptions,
    CollectionAnswer,
    ComparisonAnswer,
    CorrectionOptions,
    CorrectionsAnswer,
    Description,
    DuplicateOptions,
    DuplicatesAnswer,
    FacetsAnswer,
    Failure,
    LabelledAnswer,
    LabelledOptions,
    LearnedAnswer,
    OutlineAnswer,
    OutlineOptions,
    SearchAnswer,
    SearchOptions,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
)
from refine.rounds import standing_rounds
from service.asking import Asking
from service.conversion import (
    broken_collection,
    collection_answer,
    comparison_answer,
    describe_options,
    description,
    facets_answer,
    search_answer,
    search_asked,
)
from service.correcting import HERE, Corrector
from service.duplicates import duplicates
from service.explaining import browsing_trace, named_trace
from service.outlining import outline
from service.tagging import TagMaker

_TOGETHER = 16
"""Pictures described in one batch: enough to fill a batch, few enough to answer soon."""


@dataclass(frozen=True)
class _Ready:
    """A picture that can be worked on: opened from its file, or known to the collection."""

    name: str
    picture: Picture | ImageHit


class LocalAnswers:
    """The `Answers` of an engine.

    Without `paths` nothing that is answered says where files lie, but errors may. Corrections are
    made in the name of `who`, and followed up by a `learner`, or here.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        paths: bool = True,
        who: str = HERE,
        learner: Learner | None = None,
    ) -> None:
        self._engine = engine
        self._paths = paths
        self._corrector = Corrector(engine, who, learner, paths)
        self.asking = Asking(engine, self._opened, paths)
        self._tags = TagMaker(engine, who, learner, paths)

    def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> Iterator[Description | Failure]:
        """Describe pictures, each as soon as it is there, in their order.

        Raises what concerns all pictures of the first batch that could be opened.
        """
        how = describe_options(options)
        opened = self._engine.open(collection)
        captioner = opened.captioner(how)
        pending, any_described = iter(images), False
        while batch := list(islice(pending, _TOGETHER)):
            ready = [self._ready(one, opened) for one in batch]
            pictures = [one for one in ready if isinstance(one, _Ready)]
            answers = _described(captioner, pictures, opened, own=options.own)
            failures = [one for one in answers if isinstance(one, MragError)]
            if failures and len(failures) == len(answers) and not any_described:
                raise failures[0]
            any_described = any_described or len(failures) < len(answers)
            written = iter(answers)
            for one in ready:
                if isinstance(one, Failure):
                    yield one
                else:
                    yield _answer(one.name, next(written), explain=options.explain)

    def search(
        self,
        options: SearchOptions,
        *,
        image: NamedPicture | None = None,
        collection: str = "",
    ) -> list[SearchAnswer]:
        """Find pictures: an answer for each space that is asked for, in that order.

        Raises UnreadableImage for a picture that cannot be opened, InvalidInput without a query.
        """
        asked = search_asked(options)
        picture = self._open(image).image if image else None
        opened = self._engine.open(collection)
        filters = spelled_out(asked.filters, opened.images)
        by_date = filters != Filters() or options.sort != "relevance"
        if picture is None and not asked.asks and by_date:
            answers = [self._browsed(asked, filters, options, opened)]
        else:
            answers = self._found(asked, filters, options, opened, picture)
        return [_with_hints(one, asked, filters, opened) for one in answers]

    def facets(self, options: SearchOptions, *, collection: str = "") -> FacetsAnswer:
        """What the pictures that satisfy the filters of a search can be filtered by further."""
        asked = search_asked(options)
        opened = self._engine.open(collection)
        filters = spelled_out(asked.filters, opened.images)
        images = opened.images
        return facets_answer(asked, images.count(filters), images.facets(filters))

    def _browsed(
        self, asked: Search, filters: Filters, options: SearchOptions, opened: Collection
    ) -> SearchAnswer:
        """The pictures that satisfy the filters, by date."""
        watch = Stopwatch()
        order: DateOrder = "oldest" if options.sort == "oldest" else "newest"
        with watch.stage("search"):
            hits = opened.images.browse(filters, order=order, k=options.k, offset=options.offset)
        spent, trace = watch.timings_ms, None
        if options.explain:
            trace = named_trace(browsing_trace(order, hits, spent["search"]), opened)
        return search_answer(asked, "date", hits, spent, trace=trace, paths=self._paths)

    def _found(
        self,
        asked: Search,
        filters: Filters,
        options: SearchOptions,
        opened: Collection,
        picture: Image | None,
    ) -> list[SearchAnswer]:
        query = Query.of(asked, picture)
        budget = Budget(options.rerank_top, options.rerank_seconds)
        results = opened.gallery.search_spaces(
            query,
            _spaces(options, query, opened),
            options.k,
            filters=filters,
            offset=options.offset,
            diversity=options.diversity,
            min_score=options.min_score,
            sort=options.sort,
            every_copy=options.copies,
            likely=options.likely,
            reranker=opened.search_reranker(options.rerank, budget),
        )
        return [
            search_answer(
                asked,
                one.space,
                one.hits,
                one.timings_ms,
                likely=one.likely,
                trace=named_trace(one.trace, opened) if options.explain else None,
                reranked=one.reranked,
                paths=self._paths,
            )
            for one in results
        ]

    def compare(
        self, images: Sequence[GivenPicture], k: int = 5, *, collection: str = ""
    ) -> Iterator[ComparisonAnswer | Failure]:
        """The captions nearest to each picture, raw beside mapped."""
        opened = self._engine.open(collection)
        for given in images:
            one = self._ready(given, opened)
            if isinstance(one, Failure):
                yield one
            else:
                yield comparison_answer(one.name, opened.compare(one.picture, k))

    def ask(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> AskAnswer:
        """Answer a question about pictures that are given, or about a collection."""
        return self.asking.ask(options, images, collection)

    def ask_events(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> Generator[AskEvent, None, None]:
        """The same, event by event as they come; the last is the answer."""
        return self.asking.events(options, images, collection)

    def duplicates(self, options: DuplicateOptions, *, collection: str = "") -> DuplicatesAnswer:
        """What a collection holds more than once, as far as it was compared; see `waiting`."""
        opened = self._engine.open(collection)
        return duplicates(opened, self._engine.settings, options, paths=self._paths)

    def correct(
        self, picture: str, options: CorrectionOptions, *, collection: str = ""
    ) -> CorrectionsAnswer:
        """Say what a picture shows in place of what is said of it; it is on disk then."""
        return self._corrector.correct(collection, picture, options)

    def undo_correction(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """Take the last correction of a picture back."""
        return self._corrector.undo(collection, picture)

    def corrections(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """All that was said of a picture, the latest first."""
        return self._corrector.history(collection, picture)

    def learned(self, *, look: bool = False, collection: str = "") -> LearnedAnswer:
        """What a collection has learned; `look`: see which other descriptions would differ."""
        return self._corrector.learned(collection, look_again=look)

    def describe_differing(self, *, collection: str = "") -> LearnedAnswer:
        """Describe those pictures again whose generated descriptions would differ now."""
        return self._corrector.describe_differing(collection)

    def outline(
        self, video: NamedPicture, options: OutlineOptions, *, collection: str = ""
    ) -> OutlineAnswer:
        """What is seen in a video, shot by shot; raises UnreadableImage for what is none."""
        opened = self._engine.open(collection)
        try:
            return outline(opened, video, options, self._engine.settings.limits)
        except UnreadableImage as error:
            raise _named_as_given(error, video) from error

    def tag(self, options: TagOptions, *, collection: str = "") -> TagsAnswer:
        """Give pictures labels of a list, or only say which they would get."""
        return self._tags.tag(collection, options)

    def labelled(self, options: LabelledOptions, *, collection: str = "") -> LabelledAnswer:
        """A page of all pictures that a tagging gives labels, or would; nothing is written."""
        return self._tags.labelled(collection, options)

    def taggings(self, *, collection: str = "") -> TaggingsAnswer:
        """The taggings of a collection, by name."""
        return self._tags.taggings(collection)

    def untag(self, name: str, *, collection: str = "") -> TaggingsAnswer:
        """Take a tagging back; what stands then."""
        return self._tags.untag(collection, name)

    def collections(self) -> list[CollectionAnswer]:
        """All collections at a glance, by name; one that cannot be read is `broken`.

        Raises StoreUnavailable where no collection can be looked at, as a server is down.
        """
        names = self._engine.names()
        store_status(self._engine.settings)  # a server that is down is told once, for all
        return [self._glance(name) for name in names]

    def collection(self, name: str) -> CollectionAnswer:
        """One collection at a glance; raises CollectionMissing, or what is wrong with it."""
        opened = self._engine.open(name)
        rounds = standing_rounds(opened.folder)
        sources = Sources(opened.folder).known()
        return collection_answer(opened.summary(), rounds, sources, paths=self._paths)

    def delete(self, collection: str) -> None:
        """Delete a collection for good; pictures in folders of their owner stay."""
        delete(self._engine, collection)

    def _glance(self, name: str) -> CollectionAnswer:
        try:
            return self.collection(name)
        except MragError as error:
            return broken_collection(name, str(error))

    def _ready(self, given: GivenPicture, collection: Collection) -> _Ready | Failure:
        check_cancelled()
        try:
            return _Ready(given.name, self._opened(given, collection))
        except UnreadableImage as error:
            told = str(error).removeprefix(f"{given.name}: ")
            return Failure(image=given.name, error=told, unreadable=True)
        except InvalidInput as error:
            return Failure(image=given.name, error=str(error), unreadable=True)

    def _opened(self, given: GivenPicture, collection: Collection) -> Picture | ImageHit:
        """A picture that is given; raises UnreadableImage, or InvalidInput for an unknown id."""
        if isinstance(given, StoredPicture):
            return stored_picture(collection, given.id)
        return self._open(given)

    def _open(self, given: NamedPicture) -> Picture:
        """Open a picture; what is said of one that cannot be begins with the name it was given."""
        try:
            return self._engine.open_picture(given.source)
        except UnreadableImage as error:
            raise _named_as_given(error, given) from error


def _named_as_given(error: UnreadableImage, given: NamedPicture) -> UnreadableImage:
    """The same of a file by the name that it was given."""
    place = "the given bytes" if isinstance(given.source, bytes) else str(given.source)
    return UnreadableImage(f"{given.name}: {str(error).removeprefix(f'{place}: ')}")


def _with_hints(
    answer: SearchAnswer, asked: Search, filters: Filters, opened: Collection
) -> SearchAnswer:
    """The answer, which says what may have been meant where that could be something else."""
    hints = asked.hints
    if not answer.hits and filters != Filters():
        hints += tuple(not_here(filters, opened.images.facets()))
    return answer.model_copy(update={"hints": hints})


def _spaces(options: SearchOptions, query: Query, collection: Collection) -> list[SearchSpace]:
    """The spaces that are asked for, each once; `best` as the one that it stands for."""
    named: dict[SearchSpace, None] = {}
    for space in options.spaces:
        named[_best(options, query, collection) if space == "best" else space] = None
    return list(named)


def _best(options: SearchOptions, query: Query, collection: Collection) -> SearchSpace:
    if not query.words:  # a picture alone: nothing that was measured with words speaks of it
        return "mapped"
    found = collection.default_space().space
    return "mapped" if options.min_score is not None and found not in COSINE_SPACES else found


def stored_picture(collection: Collection, key: str) -> ImageHit:
    """A picture of the collection with its vector; raises InvalidInput for an unknown id."""
    try:
        found = collection.images.get([key], with_vectors=True)
    except InvalidInput:  # an id that can be no picture's
        found = []
    if not found:
        raise InvalidInput(
            f"collection {collection.card.name!r} has no picture with the id {key!r}; search for "
            "it to see its id, or give a picture file"
        )
    return found[0]


def _answer(
    name: str, result: CaptionResult | MragError, *, explain: bool
) -> Description | Failure:
    if isinstance(result, MragError):
        return Failure(image=name, error=str(result))
    return description(name, result, explain=explain)


def _described(
    captioner: Captioner, ready: Sequence[_Ready], collection: Collection, *, own: bool
) -> list[CaptionResult | MragError]:
    """A result or an error for each, in order: files together, and stored ones together."""
    files = [one.picture for one in ready if isinstance(one.picture, Picture)]
    hits = [one.picture for one in ready if isinstance(one.picture, ImageHit)]
    of_files, of_hits = (
        iter(_files_described(captioner, files, collection, own)),
        iter(_hits_described(captioner, hits, collection, own)),
    )
    return [next(of_files if isinstance(one.picture, Picture) else of_hits) for one in ready]


def _files_described(
    captioner: Captioner, pictures: Sequence[Picture], collection: Collection, own: bool
) -> list[CaptionResult | MragError]:
    exclude = collection.excluded([picture.sha256 for picture in pictures], own=own)

    def describe(part: slice) -> list[CaptionResult]:
        images = [picture.image for picture in pictures[part]]
        return captioner.describe(images, exclude=exclude and exclude[part])

    return each_described(describe, len(pictures))


def _hits_described(
    captioner: Captioner, hits: Sequence[ImageHit], collection: Collection, own: bool
) -> list[CaptionResult | MragError]:
    vectors = [hit.vector for hit in hits if hit.vector is not None]
    exclude: list[PictureIdentity] | None = None if own else [identity_of(hit) for hit in hits]

    def describe(part: slice) -> list[CaptionResult]:
        rows = np.stack(vectors[part])
        images = [collection.picture_of(hit) for hit in hits[part]] if captioner.looks else None
        return captioner.describe_vectors(rows, exclude=exclude and exclude[part], images=images)

    return each_described(describe, len(hits))
