"""Each thing that a server is asked, as a talk: what is sent, and what is read of the answer.

A talk is a generator: it yields a Call, is given the response, and returns the answer. So the
client that waits and the one that does not share all but the sending.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.errors import PictureUnreadable, ServerRefused
from mrag_client.files import open_to_send
from mrag_client.models import (
    SINGULAR,
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
    IngestOptions,
    JobAnswer,
    LabelledAnswer,
    LabelledOptions,
    LearnedAnswer,
    NamedAnswer,
    OutlineAnswer,
    OutlineOptions,
    PictureAnswer,
    Problem,
    ReadyAnswer,
    SearchAnswer,
    SearchOptions,
    SyncOptions,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
    VersionAnswer,
)

TOGETHER = 8
"""Pictures that are sent in one request: enough to fill a batch, few enough to answer in time."""

_OF_THESE = frozenset(("AlignmentError", "CollectionMissing", "InvalidInput"))
"""Errors that concern the pictures which were sent, and not whichever come after them."""

Fields = dict[str, list[str]]
File = tuple[str, tuple[str, BinaryIO | bytes, str]]
AnswerT = TypeVar("AnswerT", bound=BaseModel)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Call:
    """A request: `query` goes into the address, `fields` and `files` into the body."""

    method: str
    path: str
    query: Fields | None = None
    fields: Fields | None = None
    files: Sequence[File] = ()


Talk = Generator[Call, httpx.Response, ResultT]


# What is asked.


def search(
    options: SearchOptions, image: NamedPicture | None, collection: str
) -> Talk[list[SearchAnswer]]:
    """Find pictures: an answer for each space."""
    asked = fields_of(options, collection=collection)
    if image is None:
        response = yield Call("GET", "/search", query=asked)
        return [read(SearchAnswer, one) for one in _listed(response, "results")]
    with ExitStack() as opened:
        try:
            file = _file("image", image, 0, opened)
        except PictureUnreadable as error:
            raise PictureUnreadable(f"{image.name}: {error}") from error
        response = yield Call("POST", "/search", fields=asked, files=[file])
    try:
        return [read(SearchAnswer, one) for one in _listed(response, "results")]
    except ServerRefused as error:
        raise _renamed(error, file[1][0], image.name) from error


def similar(key: str, options: SearchOptions, collection: str) -> Talk[list[SearchAnswer]]:
    """Find pictures like one of the collection."""
    asked = fields_of(options, collection=collection)
    response = yield Call("GET", "/similar", query={"id": [key]} | asked)
    return [read(SearchAnswer, one) for one in _listed(response, "results")]


def facets(options: SearchOptions, collection: str) -> Talk[FacetsAnswer]:
    """What pictures can be filtered by further."""
    response = yield Call("GET", "/facets", query=fields_of(options, collection=collection))
    return read(FacetsAnswer, content(response))


def caption(
    batch: Sequence[GivenPicture], options: CaptionOptions, collection: str, *, goes_on: bool
) -> Talk[list[Description | Failure]]:
    """Describe a batch; `goes_on`: others were described before, so that none spoils the rest."""
    asked = fields_of(options, collection=collection)
    return (yield from _of_pictures("/caption", Description, batch, asked, goes_on=goes_on))


def compare(
    batch: Sequence[GivenPicture], k: int, collection: str
) -> Talk[list[ComparisonAnswer | Failure]]:
    """The captions nearest to each picture of a batch."""
    asked = {"k": [str(k)], **_named(collection)}
    return (yield from _of_pictures("/compare", ComparisonAnswer, batch, asked))


def ask(options: AskOptions, images: Sequence[GivenPicture], collection: str) -> Talk[AskAnswer]:
    """Answer a question."""
    with asked_of("/ask", options, images, collection) as call:
        return read(AskAnswer, content((yield call)))


@contextmanager
def asked_of(
    path: str, options: AskOptions, images: Sequence[GivenPicture], collection: str
) -> Iterator[Call]:
    """What is sent to ask a question, its files open; what is refused calls them by their names."""
    asked = fields_of(options, collection=collection)
    named = [one for one in images if isinstance(one, NamedPicture)]
    if ids := [one.id for one in images if isinstance(one, StoredPicture)]:
        asked |= {"id": ids}
    with ExitStack() as opened:
        files = []
        for place, one in enumerate(named):
            try:
                files.append(_file("image", one, place, opened))
            except PictureUnreadable as error:
                raise PictureUnreadable(f"{one.name}: {error}") from error
        try:
            yield Call("POST", path, fields=asked, files=files)
        except ServerRefused as error:
            for (_, (sent, *_)), one in zip(files, named, strict=True):
                if error.detail.startswith(f"{sent}:"):
                    raise _renamed(error, sent, one.name) from error
            raise


def outline(
    video: NamedPicture, options: OutlineOptions, collection: str, *, upload: bool
) -> Talk[OutlineAnswer]:
    """What is seen in a video; without `upload` the server reads it where it lies."""
    fields = fields_of(options, collection=collection)
    if isinstance(video.source, Path) and not upload:
        call = Call("POST", "/outline", fields=fields | {"source": [str(video.source.absolute())]})
        answer = read(OutlineAnswer, content((yield call)))
        return answer.model_copy(update={"video": video.name})
    with ExitStack() as opened:
        file = _file("video", video, 0, opened)
        try:
            call = Call("POST", "/outline", fields=fields, files=[file])
            answer = read(OutlineAnswer, content((yield call)))
        except ServerRefused as error:
            raise _renamed(error, "picture-1", video.name) from error
    return answer.model_copy(update={"video": video.name})


def duplicates(options: DuplicateOptions, collection: str) -> Talk[DuplicatesAnswer]:
    """A page of what a collection holds more than once."""
    asked = fields_of(options, collection=collection)
    response = yield Call("GET", "/duplicates", query=asked)
    return read(DuplicatesAnswer, content(response))


def correct(picture: str, options: CorrectionOptions, collection: str) -> Talk[CorrectionsAnswer]:
    """Say what a picture shows in place of what is said of it."""
    path = yield from _corrections_path(picture, collection)
    fields = fields_of(options)
    return read(CorrectionsAnswer, content((yield Call("POST", path, fields=fields))))


def undo_correction(picture: str, collection: str) -> Talk[CorrectionsAnswer]:
    """Take the last correction of a picture back."""
    path = yield from _corrections_path(picture, collection)
    return read(CorrectionsAnswer, content((yield Call("DELETE", path))))


def corrections(picture: str, collection: str) -> Talk[CorrectionsAnswer]:
    """All that was said of a picture."""
    path = yield from _corrections_path(picture, collection)
    return read(CorrectionsAnswer, content((yield Call("GET", path))))


def learned(collection: str, *, look: bool) -> Talk[LearnedAnswer]:
    """What a collection has learned from corrections."""
    asked = _named(collection) | ({"look": ["true"]} if look else {})
    return read(LearnedAnswer, content((yield Call("GET", "/learned", query=asked))))


def describe_differing(collection: str) -> Talk[LearnedAnswer]:
    """Describe those pictures again whose descriptions would differ."""
    call = Call("POST", "/learned/describe", query=_named(collection))
    return read(LearnedAnswer, content((yield call)))


def _corrections_path(picture: str, name: str) -> Talk[str]:
    """Where the corrections of a picture are, which may be named by its path."""
    asked = {"picture": [picture], **_named(name)}
    found = read(NamedAnswer, content((yield Call("GET", "/named", query=asked))))
    return f"{_picture_path(found.id, found.collection)}/corrections"


def tag(options: TagOptions, collection: str) -> Talk[TagsAnswer]:
    """Give pictures labels of a list."""
    call = Call("POST", "/tags", query=_named(collection), fields=fields_of(options))
    return read(TagsAnswer, content((yield call)))


def labelled(options: LabelledOptions, collection: str) -> Talk[LabelledAnswer]:
    """A page of the pictures that get labels."""
    fields = fields_of(options)
    call = Call("POST", "/tags/pictures", query=_named(collection), fields=fields)
    return read(LabelledAnswer, content((yield call)))


def taggings(collection: str) -> Talk[TaggingsAnswer]:
    """The taggings of a collection."""
    return read(TaggingsAnswer, content((yield Call("GET", "/tags", query=_named(collection)))))


def untag(name: str, collection: str) -> Talk[TaggingsAnswer]:
    """Take a tagging back."""
    call = Call("DELETE", f"/tags/{quote(name, safe='')}", query=_named(collection))
    return read(TaggingsAnswer, content((yield call)))


def collections() -> Talk[list[CollectionAnswer]]:
    """All collections at a glance."""
    response = yield Call("GET", "/collections")
    return [read(CollectionAnswer, one) for one in _listed(response, "collections")]


def collection(name: str) -> Talk[CollectionAnswer]:
    """One collection at a glance."""
    response = yield Call("GET", f"/collections/{_part(name)}")
    return read(CollectionAnswer, content(response))


def delete(name: str) -> Talk[None]:
    """Delete a collection for good."""
    content((yield Call("DELETE", f"/collections/{_part(name)}")))


def ingest(
    name: str, source: str | Path, options: IngestOptions, *, upload: bool
) -> Talk[JobAnswer]:
    """Fill a collection, which is made if there is none of that name."""
    try:
        yield from collection(name)
        there = True
    except ServerRefused as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        there = False
    try:
        return (yield from _filled(name, source, options, upload=upload, there=there))
    except ServerRefused as error:
        if there or error.status != httpx.codes.CONFLICT:  # somebody has made it meanwhile
            raise
    return (yield from _filled(name, source, options, upload=upload, there=True))


def sync(name: str, options: SyncOptions) -> Talk[JobAnswer]:
    """Bring a collection level with its sources."""
    path = f"/collections/{_part(name)}/syncs"
    return read(JobAnswer, content((yield Call("POST", path, query=fields_of(options)))))


def describe_again(name: str) -> Talk[JobAnswer]:
    """Describe a collection's pictures again, where that was done with something else."""
    response = yield Call("POST", f"/collections/{_part(name)}/descriptions")
    return read(JobAnswer, content(response))


def jobs() -> Talk[list[JobAnswer]]:
    """All ingests that are known, the newest first."""
    response = yield Call("GET", "/ingests")
    return [read(JobAnswer, one) for one in _listed(response, "jobs")]


def job(key: str, *, to: str = "") -> Talk[JobAnswer]:
    """One ingest; `to`: after it was told to `cancel` or to `resume`."""
    path = f"/ingests/{_part(key)}"
    response = yield Call("POST", f"{path}/{to}") if to else Call("GET", path)
    return read(JobAnswer, content(response))


def events(key: str) -> Call:
    """What is sent to be told what an ingest does."""
    return Call("GET", f"/ingests/{_part(key)}/events")


def picture(key: str, name: str) -> Talk[PictureAnswer]:
    """What is known of a picture of a collection."""
    return read(PictureAnswer, content((yield Call("GET", _picture_path(key, name)))))


def thumbnail(key: str, name: str, side: int) -> Talk[bytes]:
    """A small version of a picture of a collection, as WebP."""
    path = f"{_picture_path(key, name)}/thumbnail"
    response = yield Call("GET", path, query={"side": [str(side)]})
    _check(response)
    return response.content


def health() -> Talk[None]:
    """Raise unless the server answers at all."""
    content((yield Call("GET", "/health")))


def ready() -> Talk[ReadyAnswer]:
    """Whether models are loaded and collections open."""
    response = yield Call("GET", "/ready")
    try:
        return read(ReadyAnswer, response.json())
    except (ServerRefused, ValueError):
        return read(ReadyAnswer, content(response))


def version() -> Talk[VersionAnswer]:
    """The program that answers."""
    return read(VersionAnswer, content((yield Call("GET", "/version"))))


def batches(images: Iterable[GivenPicture]) -> Iterator[list[GivenPicture]]:
    """Pictures that are sent together: of one kind, so that the answers keep their order."""
    batch: list[GivenPicture] = []
    for one in images:
        if batch and (len(batch) == TOGETHER or type(one) is not type(batch[0])):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


# How it is sent.


def fields_of(options: BaseModel, *, collection: str = "") -> Fields:
    """Options as form or query fields; what is empty or not given is left out."""
    asked: Fields = {}
    for name, value in options.model_dump(mode="json").items():
        values = value if isinstance(value, list) else [value]
        told = [_told(one) for one in values if one is not None and one != ""]
        if told:
            asked[SINGULAR.get(name, name)] = told
    return asked | _named(collection)


def _told(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _named(collection: str) -> Fields:
    return {"collection": [collection]} if collection else {}


def _part(name: str) -> str:
    """A name as one part of an address, whatever it holds: not even dots lead elsewhere."""
    return quote(name, safe="").replace(".", "%2E")


def _picture_path(key: str, name: str) -> str:
    return f"/collections/{_part(name)}/pictures/{_part(key)}"


def _of_pictures(
    path: str,
    kind: type[AnswerT],
    batch: Sequence[GivenPicture],
    asked: Fields,
    *,
    goes_on: bool = False,
) -> Talk[list[AnswerT | Failure]]:
    """Ask about the pictures of a batch that can be sent; the others fail in their place."""
    answers: dict[int, AnswerT | Failure] = {}
    sent: dict[int, GivenPicture] = {}
    files: list[File] = []
    ids: list[str] = []
    with ExitStack() as opened:
        for place, one in enumerate(batch):
            if isinstance(one, StoredPicture):
                ids.append(one.id)
            else:
                try:
                    files.append(_file("image", one, place, opened))
                except PictureUnreadable as error:
                    answers[place] = Failure(image=one.name, error=str(error), unreadable=True)
                    continue
            sent[place] = one
        if sent:
            fields = asked | ({"id": ids} if ids else {})
            response = yield Call("POST", path, fields=fields, files=files)
            try:
                rows = _listed(response, "results")
            except ServerRefused as error:
                if not goes_on or error.kind not in _OF_THESE:
                    raise
                rows = [{"image": "", "error": error.detail}] * len(sent)
            for (place, one), row in zip(sent.items(), rows, strict=True):
                told = row | {"image": one.name}
                answers[place] = read(Failure, told) if "error" in row else read(kind, told)
    return [answers[place] for place in range(len(batch))]


def _file(field: str, given: NamedPicture, place: int, opened: ExitStack) -> File:
    """A picture as a part of a form, under a number: its path is this machine's own affair."""
    source = given.source
    body = source if isinstance(source, bytes) else opened.enter_context(open_to_send(source))
    return field, (f"picture-{place + 1}", body, "application/octet-stream")


def _filled(
    name: str, source: str | Path, options: IngestOptions, *, upload: bool, there: bool
) -> Talk[JobAnswer]:
    path = f"/collections/{_part(name)}/ingests" if there else "/collections"
    asked = fields_of(options) | ({} if there else {"name": [name]})
    if not upload:
        call = Call("POST", path, fields=asked | {"source": [str(source)]})
        return read(JobAnswer, content((yield call)))
    with open_to_send(Path(source)) as archive:
        file = ("archive", (Path(source).name, archive, "application/zip"))
        return read(JobAnswer, content((yield Call("POST", path, fields=asked, files=[file]))))


# How answers are read.


def content(response: httpx.Response) -> Any:
    """The JSON of an answer, None of an empty one; raises ServerRefused for a problem."""
    _check(response)
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise _not_understood(response.status_code) from error


def read(kind: type[AnswerT], value: Any) -> AnswerT:
    """An answer of that kind; raises ServerRefused for something else."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _not_understood(httpx.codes.OK) from error


def wait_before_again(response: httpx.Response, longest: float) -> float | None:
    """The seconds after which a server wants to be asked again; None: do not ask again.

    Only one that is busy, or was asked too often, is: what took too long once does so again.
    """
    if response.is_success:
        return None
    limited = response.status_code == httpx.codes.TOO_MANY_REQUESTS
    if not limited and _problem(response).type.rpartition(":")[2] != "Busy":
        return None
    try:
        wanted = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return max(wanted, 0.0) if wanted <= longest else None


@dataclass
class _EventReader:
    """Reads server-sent events, line by line."""

    ended: bool = False
    _event: str = ""
    _data: str = ""

    def _taken(self, line: str) -> tuple[str, Any] | None:
        """The name and the content of an event, where this line ends one that has content."""
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                self._event = value
            elif field == "data":
                self._data += value
            return None
        event, data = self._event, self._data
        self._event = self._data = ""
        if not data:
            return None
        try:
            return event, json.loads(data)
        except ValueError as error:
            raise _not_understood(httpx.codes.OK) from error


class JobReader(_EventReader):
    """Reads what an ingest does."""

    def read(self, line: str) -> JobAnswer | None:
        """The job, where this line ends an event that tells of it."""
        if (taken := self._taken(line)) is None:
            return None
        self.ended = taken[0] == "ended"
        return read(JobAnswer, taken[1])


class AskReader(_EventReader):
    """Reads how a question is answered."""

    def read(self, line: str) -> AskEvent | None:
        """The event that this line ends; raises ServerRefused where it tells of a problem."""
        if (taken := self._taken(line)) is None:
            return None
        self.ended = taken[0] == "answer"
        if taken[0] == "problem":
            raise ServerRefused(read(Problem, taken[1]))
        return read(AskEvent, taken[1])


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        raise ServerRefused(_problem(response))


def _problem(response: httpx.Response) -> Problem:
    """What an answer that is none says; made up where it comes from somebody else."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return _unnamed(response.status_code, response.reason_phrase or "no answer")


def _listed(response: httpx.Response, key: str) -> list[Any]:
    answer = content(response)
    if not isinstance(answer, Mapping) or not isinstance(answer.get(key), list):
        raise _not_understood(response.status_code)
    return list(answer[key])


def _renamed(error: ServerRefused, sent: str, name: str) -> ServerRefused:
    """The same problem, of the picture by the name that it has here."""
    if not error.detail.startswith(f"{sent}: "):
        return error
    told = f"{name}: {error.detail.removeprefix(f'{sent}: ')}"
    return ServerRefused(error.problem.model_copy(update={"detail": told}))


def _unnamed(status: int, title: str) -> Problem:
    detail = f"the server answered {status} ({title}); is it mRAG's, and of this version?"
    return Problem(type="about:blank", title=title, status=status, detail=detail)


def _not_understood(status: int) -> ServerRefused:
    return ServerRefused(_unnamed(status, "an answer that is not understood here"))
