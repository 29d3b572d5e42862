"""Clients of a running mRAG server: one that waits for its answers, and one for asyncio.

with Client("http://127.0.0.1:8501", key="...") as client:
    (answer,) = client.search(SearchOptions(text="two dogs on a beach"), collection="album")
    for hit in answer.hits:
        print(hit.score, hit.caption)
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import httpx

from mrag_client import talks
from mrag_client.answers import GivenPicture, NamedPicture
from mrag_client.errors import ClientError, ServerGone
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
    IngestOptions,
    JobAnswer,
    LabelledAnswer,
    LabelledOptions,
    LearnedAnswer,
    OutlineAnswer,
    OutlineOptions,
    PictureAnswer,
    ReadyAnswer,
    SearchAnswer,
    SearchOptions,
    SyncOptions,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
    VersionAnswer,
)
from mrag_client.presence import Presence, running_server
from mrag_client.talks import AskReader, Call, JobReader, ResultT, Talk, wait_before_again

ATTEMPTS = 5
"""How often the same is asked of a server that is busy, or that an event stream broke off of."""

LONGEST_WAIT_S = 10.0
"""A server that wants to be left alone for longer is not waited for."""

_TIMES = httpx.Timeout(connect=5.0, read=300.0, write=300.0, pool=None)
_SILENCE_S = 60.0
"""How long a stream of events may be silent before it is asked for again."""

_BROKEN_WAIT_S = 1.0

_ROOT = "/api/v1"


class _Address:
    """What both clients are made with; raises ClientError for what is no address or no key."""

    def __init__(self, address: str, key: str) -> None:
        self.address = address.strip().rstrip("/")
        self.key = key.strip()  # a file that it is read from ends in a line break
        if not _is_address(self.address):
            raise ClientError(
                f"{address!r} is no address of a server; write it like http://localhost:8501"
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise ClientError(
                "the key has characters that none has; give it as `mrag keys add` showed it"
            )

    def options(self) -> dict[str, Any]:
        """What httpx's client is made with."""
        url = httpx.URL(self.address)
        options: dict[str, Any] = {
            "base_url": f"{self.address}{_ROOT}",
            "headers": {"Authorization": f"Bearer {self.key}"} if self.key else {},
            "timeout": _TIMES,
            # A proxy would look for this machine on its own.
            "trust_env": not _is_loopback(url.host),
        }
        if url.scheme == "http":
            # The authorities that nothing here is checked against take longer to read than the
            # answer; a context of none trusts nobody.
            options["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return options

    def gone(self, error: httpx.HTTPError | httpx.InvalidURL) -> ServerGone:
        """What is said of a server that gives no answer."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            why = "does not answer; check that it runs: mrag serve"
        elif isinstance(error, httpx.TimeoutException):
            why = "took too long to answer; it may be loading models: try again"
        else:
            why = f"broke off ({error or type(error).__name__}); see what it says, and try again"
        return ServerGone(f"the server at {self.address} {why}")

    def broken(self) -> ServerGone:
        """What is said where an answer ends before its end."""
        return ServerGone(f"the server at {self.address} broke off its answer; ask again")


class Client:
    """Asks a server, and waits for what it answers; implements `Answers`, and more.

    Busy servers are asked again a few times. Raises ServerRefused with what the server says,
    ServerGone where nobody answers, ClientError for an address or key that is none. Safe to share
    between threads.
    """

    def __init__(
        self,
        address: str,
        key: str = "",
        *,
        of_home: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`of_home`: the server runs over a home of this machine, and reads its files."""
        self._reads_files = of_home
        self._to = _Address(address, key)
        self._http = httpx.Client(**self._to.options(), transport=transport)
        self._sleep = sleep

    @classmethod
    def of_home(cls, home: Path) -> Self:
        """A client of the server that runs over a home (MRAG_HOME) of this machine.

        Raises ServerGone where none runs.
        """
        found = _found(home)
        return cls(found.address, found.token, of_home=True)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> Iterator[Description | Failure]:
        """Describe pictures, each as soon as its batch is there, in their order."""
        described = False
        for batch in talks.batches(images):
            answers = self._run(talks.caption(batch, options, collection, goes_on=described))
            described = described or any(isinstance(one, Description) for one in answers)
            yield from answers

    def search(
        self,
        options: SearchOptions,
        *,
        image: NamedPicture | None = None,
        collection: str = "",
    ) -> list[SearchAnswer]:
        """Find pictures: an answer for each space that is asked for, in that order."""
        return self._run(talks.search(options, image, collection))

    def similar(
        self, key: str, options: SearchOptions | None = None, *, collection: str = ""
    ) -> list[SearchAnswer]:
        """Find pictures like the one of that id."""
        return self._run(talks.similar(key, options or SearchOptions(), collection))

    def facets(self, options: SearchOptions | None = None, *, collection: str = "") -> FacetsAnswer:
        """What the pictures that satisfy the filters of a search can be filtered by further."""
        return self._run(talks.facets(options or SearchOptions(), collection))

    def compare(
        self, images: Sequence[GivenPicture], k: int = 5, *, collection: str = ""
    ) -> Iterator[ComparisonAnswer | Failure]:
        """The captions nearest to each picture, raw beside mapped."""
        for batch in talks.batches(images):
            yield from self._run(talks.compare(batch, k, collection))

    def ask(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> AskAnswer:
        """Answer a question about pictures that are given, or about a collection."""
        return self._run(talks.ask(options, images, collection))

    def ask_events(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> Iterator[AskEvent]:
        """The same, event by event as they come; the last has the answer.

        Raises ServerGone where the line breaks before that.
        """
        reader = AskReader()
        with talks.asked_of("/ask/events", options, images, collection) as call:
            for line in self._lines(call):
                if (event := reader.read(line)) is not None:
                    yield event
        if not reader.ended:
            raise self._to.broken()

    def outline(
        self,
        video: NamedPicture,
        options: OutlineOptions | None = None,
        *,
        collection: str = "",
    ) -> OutlineAnswer:
        """What is seen in a video, shot by shot; see `OutlineAnswer.next`."""
        upload = not self._reads_files
        return self._run(
            talks.outline(video, options or OutlineOptions(), collection, upload=upload)
        )

    def duplicates(
        self, options: DuplicateOptions | None = None, *, collection: str = ""
    ) -> DuplicatesAnswer:
        """What a collection holds more than once, as far as it was compared; see `waiting`."""
        return self._run(talks.duplicates(options or DuplicateOptions(), collection))

    def correct(
        self, picture: str, options: CorrectionOptions, *, collection: str = ""
    ) -> CorrectionsAnswer:
        """Say what a picture shows in place of what is said of it; it is on disk then."""
        return self._run(talks.correct(picture, options, collection))

    def undo_correction(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """Take the last correction of a picture back."""
        return self._run(talks.undo_correction(picture, collection))

    def corrections(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """All that was said of a picture, the latest first."""
        return self._run(talks.corrections(picture, collection))

    def learned(self, *, look: bool = False, collection: str = "") -> LearnedAnswer:
        """What a collection has learned; `look`: see which other descriptions would differ."""
        return self._run(talks.learned(collection, look=look))

    def describe_differing(self, *, collection: str = "") -> LearnedAnswer:
        """Describe those pictures again whose generated descriptions would differ now."""
        return self._run(talks.describe_differing(collection))

    def tag(self, options: TagOptions, *, collection: str = "") -> TagsAnswer:
        """Give pictures labels of a list, or only say which they would get."""
        return self._run(talks.tag(options, collection))

    def labelled(self, options: LabelledOptions, *, collection: str = "") -> LabelledAnswer:
        """A page of all pictures that a tagging gives labels, or would; nothing is written."""
        return self._run(talks.labelled(options, collection))

    def taggings(self, *, collection: str = "") -> TaggingsAnswer:
        """The taggings of a collection, by name."""
        return self._run(talks.taggings(collection))

    def untag(self, name: str, *, collection: str = "") -> TaggingsAnswer:
        """Take a tagging back; what stands then."""
        return self._run(talks.untag(name, collection))

    def collections(self) -> list[CollectionAnswer]:
        """All collections at a glance, by name."""
        return self._run(talks.collections())

    def collection(self, name: str) -> CollectionAnswer:
        """One collection at a glance."""
        return self._run(talks.collection(name))

    def delete(self, collection: str) -> None:
        """Delete a collection for good; pictures in folders of their owner stay."""
        self._run(talks.delete(collection))

    def ingest(
        self,
        collection: str,
        source: str | Path,
        options: IngestOptions | None = None,
        *,
        upload: bool = False,
    ) -> JobAnswer:
        """Begin to fill a collection, which is made where there is none of that name.

        `source` is a folder or file of the server's machine, or with `upload` a zip of this one.
        """
        return self._run(
            talks.ingest(collection, source, options or IngestOptions(), upload=upload)
        )

    def sync(self, collection: str, options: SyncOptions | None = None) -> JobAnswer:
        """Begin to bring a collection level with the sources that it knows, or to look only."""
        return self._run(talks.sync(collection, options or SyncOptions()))

    def describe_again(self, collection: str) -> JobAnswer:
        """Begin to describe pictures again that were described with something else than now."""
        return self._run(talks.describe_again(collection))

    def jobs(self) -> list[JobAnswer]:
        """All ingests that are known, the newest first."""
        return self._run(talks.jobs())

    def job(self, key: str) -> JobAnswer:
        """One ingest as it stands."""
        return self._run(talks.job(key))

    def events(self, key: str) -> Iterator[JobAnswer]:
        """What an ingest does, as it does it; the last is the ingest when it has ended.

        Where the line breaks the stream is asked for again.
        """
        broken = 0
        while True:
            reader = JobReader()
            try:
                for line in self._lines(talks.events(key)):
                    if (job := reader.read(line)) is not None:
                        broken = 0
                        yield job
                        if reader.ended:
                            return
            except ServerGone:
                if broken == ATTEMPTS - 1:
                    raise
            broken += 1
            self._sleep(_BROKEN_WAIT_S)

    def cancel(self, key: str) -> JobAnswer:
        """End an ingest at its next step; what it has done is kept."""
        return self._run(talks.job(key, to="cancel"))

    def resume(self, key: str) -> JobAnswer:
        """Run an ingest again that has ended halfway: what is done is not done again."""
        return self._run(talks.job(key, to="resume"))

    def picture(self, key: str, *, collection: str) -> PictureAnswer:
        """What is known of a picture of a collection."""
        return self._run(talks.picture(key, collection))

    def thumbnail(self, key: str, *, collection: str, side: int = 256) -> bytes:
        """A small version of a picture of a collection, as WebP."""
        return self._run(talks.thumbnail(key, collection, side))

    def health(self) -> None:
        """Raise unless the server answers at all."""
        self._run(talks.health())

    def ready(self) -> ReadyAnswer:
        """Whether models are loaded and collections open."""
        return self._run(talks.ready())

    def version(self) -> VersionAnswer:
        """The program that answers."""
        return self._run(talks.version())

    def _run(self, talk: Talk[ResultT]) -> ResultT:
        try:
            call = next(talk)
            while True:
                call = talk.send(self._send(call))
        except StopIteration as end:
            answer: ResultT = end.value
            return answer
        finally:
            talk.close()

    def _send(self, call: Call) -> httpx.Response:
        for _ in range(ATTEMPTS - 1):
            response = self._sent(call)
            seconds = wait_before_again(response, LONGEST_WAIT_S)
            if seconds is None:
                return response
            self._sleep(seconds)
        return self._sent(call)

    def _sent(self, call: Call) -> httpx.Response:
        try:
            return self._http.request(**_request(call))
        except httpx.TransportError as error:
            raise self._to.gone(error) from error

    def _lines(self, call: Call) -> Iterator[str]:
        for left in reversed(range(ATTEMPTS)):
            try:
                with self._http.stream(**_request(call), timeout=_patient()) as response:
                    if response.is_success:
                        yield from response.iter_lines()
                        return
                    response.read()
            except httpx.TransportError as error:
                raise self._to.gone(error) from error
            seconds = wait_before_again(response, LONGEST_WAIT_S) if left else None
            if seconds is None:
                talks.content(response)  # it raises
                return
            self._sleep(seconds)


class AsyncClient:
    """The same for asyncio; see `Client`.

    async with AsyncClient("http://127.0.0.1:8501") as client:
        print(await client.collections())
    """

    def __init__(
        self,
        address: str,
        key: str = "",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._to = _Address(address, key)
        self._http = httpx.AsyncClient(**self._to.options(), transport=transport)
        self._sleep = sleep or _sleep

    @classmethod
    def of_home(cls, home: Path) -> Self:
        """A client of the server that runs over a home; raises ServerGone where none runs."""
        found = _found(home)
        return cls(found.address, found.token)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> AsyncIterator[Description | Failure]:
        """Describe pictures, each as soon as its batch is there, in their order."""
        described = False
        for batch in talks.batches(images):
            answers = await self._run(talks.caption(batch, options, collection, goes_on=described))
            described = described or any(isinstance(one, Description) for one in answers)
            for answer in answers:
                yield answer

    async def search(
        self,
        options: SearchOptions,
        *,
        image: NamedPicture | None = None,
        collection: str = "",
    ) -> list[SearchAnswer]:
        """Find pictures: an answer for each space that is asked for, in that order."""
        return await self._run(talks.search(options, image, collection))

    async def similar(
        self, key: str, options: SearchOptions | None = None, *, collection: str = ""
    ) -> list[SearchAnswer]:
        """Find pictures like the one of that id."""
        return await self._run(talks.similar(key, options or SearchOptions(), collection))

    async def facets(
        self, options: SearchOptions | None = None, *, collection: str = ""
    ) -> FacetsAnswer:
        """What the pictures that satisfy the filters of a search can be filtered by further."""
        return await self._run(talks.facets(options or SearchOptions(), collection))

    async def compare(
        self, images: Sequence[GivenPicture], k: int = 5, *, collection: str = ""
    ) -> AsyncIterator[ComparisonAnswer | Failure]:
        """The captions nearest to each picture, raw beside mapped."""
        for batch in talks.batches(images):
            for answer in await self._run(talks.compare(batch, k, collection)):
                yield answer

    async def ask(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> AskAnswer:
        """Answer a question about pictures that are given, or about a collection."""
        return await self._run(talks.ask(options, images, collection))

    async def ask_events(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> AsyncIterator[AskEvent]:
        """The same, event by event as they come; see `Client.ask_events`."""
        reader = AskReader()
        with talks.asked_of("/ask/events", options, images, collection) as call:
            async for line in self._lines(call):
                if (event := reader.read(line)) is not None:
                    yield event
        if not reader.ended:
            raise self._to.broken()

    async def outline(
        self,
        video: NamedPicture,
        options: OutlineOptions | None = None,
        *,
        collection: str = "",
    ) -> OutlineAnswer:
        """What is seen in a video, shot by shot; see `OutlineAnswer.next`."""
        return await self._run(
            talks.outline(video, options or OutlineOptions(), collection, upload=True)
        )

    async def duplicates(
        self, options: DuplicateOptions | None = None, *, collection: str = ""
    ) -> DuplicatesAnswer:
        """What a collection holds more than once, as far as it was compared; see `waiting`."""
        return await self._run(talks.duplicates(options or DuplicateOptions(), collection))

    async def correct(
        self, picture: str, options: CorrectionOptions, *, collection: str = ""
    ) -> CorrectionsAnswer:
        """Say what a picture shows in place of what is said of it; it is on disk then."""
        return await self._run(talks.correct(picture, options, collection))

    async def undo_correction(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """Take the last correction of a picture back."""
        return await self._run(talks.undo_correction(picture, collection))

    async def corrections(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """All that was said of a picture, the latest first."""
        return await self._run(talks.corrections(picture, collection))

    async def learned(self, *, look: bool = False, collection: str = "") -> LearnedAnswer:
        """What a collection has learned; `look`: see which other descriptions would differ."""
        return await self._run(talks.learned(collection, look=look))

    async def describe_differing(self, *, collection: str = "") -> LearnedAnswer:
        """Describe those pictures again whose generated descriptions would differ now."""
        return await self._run(talks.describe_differing(collection))

    async def tag(self, options: TagOptions, *, collection: str = "") -> TagsAnswer:
        """Give pictures labels of a list, or only say which they would get."""
        return await self._run(talks.tag(options, collection))

    async def labelled(self, options: LabelledOptions, *, collection: str = "") -> LabelledAnswer:
        """A page of all pictures that a tagging gives labels, or would; nothing is written."""
        return await self._run(talks.labelled(options, collection))

    async def taggings(self, *, collection: str = "") -> TaggingsAnswer:
        """The taggings of a collection, by name."""
        return await self._run(talks.taggings(collection))

    async def untag(self, name: str, *, collection: str = "") -> TaggingsAnswer:
        """Take a tagging back; what stands then."""
        return await self._run(talks.untag(name, collection))

    async def collections(self) -> list[CollectionAnswer]:
        """All collections at a glance, by name."""
        return await self._run(talks.collections())

    async def collection(self, name: str) -> CollectionAnswer:
        """One collection at a glance."""
        return await self._run(talks.collection(name))

    async def delete(self, collection: str) -> None:
        """Delete a collection for good; pictures in folders of their owner stay."""
        await self._run(talks.delete(collection))

    async def ingest(
        self,
        collection: str,
        source: str | Path,
        options: IngestOptions | None = None,
        *,
        upload: bool = False,
    ) -> JobAnswer:
        """Begin to fill a collection; see `Client.ingest`."""
        return await self._run(
            talks.ingest(collection, source, options or IngestOptions(), upload=upload)
        )

    async def sync(self, collection: str, options: SyncOptions | None = None) -> JobAnswer:
        """Begin to bring a collection level with its sources; see `Client.sync`."""
        return await self._run(talks.sync(collection, options or SyncOptions()))

    async def describe_again(self, collection: str) -> JobAnswer:
        """Begin to describe pictures again; see `Client.describe_again`."""
        return await self._run(talks.describe_again(collection))

    async def jobs(self) -> list[JobAnswer]:
        """All ingests that are known, the newest first."""
        return await self._run(talks.jobs())

    async def job(self, key: str) -> JobAnswer:
        """One ingest as it stands."""
        return await self._run(talks.job(key))

    async def events(self, key: str) -> AsyncIterator[JobAnswer]:
        """What an ingest does, as it does it; see `Client.events`."""
        broken = 0
        while True:
            reader = JobReader()
            try:
                async for line in self._lines(talks.events(key)):
                    if (job := reader.read(line)) is not None:
                        broken = 0
                        yield job
                        if reader.ended:
                            return
            except ServerGone:
                if broken == ATTEMPTS - 1:
                    raise
            broken += 1
            await self._sleep(_BROKEN_WAIT_S)

    async def cancel(self, key: str) -> JobAnswer:
        """End an ingest at its next step; what it has done is kept."""
        return await self._run(talks.job(key, to="cancel"))

    async def resume(self, key: str) -> JobAnswer:
        """Run an ingest again that has ended halfway: what is done is not done again."""
        return await self._run(talks.job(key, to="resume"))

    async def picture(self, key: str, *, collection: str) -> PictureAnswer:
        """What is known of a picture of a collection."""
        return await self._run(talks.picture(key, collection))

    async def thumbnail(self, key: str, *, collection: str, side: int = 256) -> bytes:
        """A small version of a picture of a collection, as WebP."""
        return await self._run(talks.thumbnail(key, collection, side))

    async def health(self) -> None:
        """Raise unless the server answers at all."""
        await self._run(talks.health())

    async def ready(self) -> ReadyAnswer:
        """Whether models are loaded and collections open."""
        return await self._run(talks.ready())

    async def version(self) -> VersionAnswer:
        """The program that answers."""
        return await self._run(talks.version())

    async def _run(self, talk: Talk[ResultT]) -> ResultT:
        try:
            call = next(talk)
            while True:
                call = talk.send(await self._send(call))
        except StopIteration as end:
            answer: ResultT = end.value
            return answer
        finally:
            talk.close()

    async def _send(self, call: Call) -> httpx.Response:
        for _ in range(ATTEMPTS - 1):
            response = await self._sent(call)
            seconds = wait_before_again(response, LONGEST_WAIT_S)
            if seconds is None:
                return response
            await self._sleep(seconds)
        return await self._sent(call)

    async def _sent(self, call: Call) -> httpx.Response:
        try:
            return await self._http.request(**_request(call))
        except httpx.TransportError as error:
            raise self._to.gone(error) from error

    async def _lines(self, call: Call) -> AsyncIterator[str]:
        for left in reversed(range(ATTEMPTS)):
            try:
                async with self._http.stream(**_request(call), timeout=_patient()) as response:
                    if response.is_success:
                        async for line in response.aiter_lines():
                            yield line
                        return
                    await response.aread()
            except httpx.TransportError as error:
                raise self._to.gone(error) from error
            seconds = wait_before_again(response, LONGEST_WAIT_S) if left else None
            if seconds is None:
                talks.content(response)  # it raises
                return
            await self._sleep(seconds)


async def _sleep(seconds: float) -> None:
    from asyncio import sleep  # whoever waits for one answer needs none of it

    await sleep(seconds)


def _found(home: Path) -> Presence:
    found = running_server(home)
    if found is None:
        raise ServerGone(f"no server runs over {home}; start one with: mrag serve")
    return found


def _request(call: Call) -> dict[str, Any]:
    """What httpx is given to send a call."""
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "data": call.fields,
        "files": list(call.files) or None,
    }


def _patient() -> httpx.Timeout:
    return httpx.Timeout(_TIMES.connect, read=_SILENCE_S)


def _is_address(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
