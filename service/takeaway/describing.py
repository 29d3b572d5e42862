"""Describes pictures into outputs, batch by batch; one that fails is told, and the rest goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

from engine.errors import AlignmentError, CollectionMissing, InvalidInput
from engine.progress import OnProgress, Progress, check_cancelled, silent
from mrag_client.answers import GivenPicture, NamedPicture
from mrag_client.errors import ServerRefused
from mrag_client.models import CaptionOptions, Description, Failure, MadeWith
from service.takeaway.outputs import Output, Untaken

_OF_THESE = (AlignmentError, CollectionMissing, InvalidInput)
"""Errors of the pictures that were asked about, and not of whichever come after them."""

_NAMES = frozenset(kind.__name__ for kind in _OF_THESE)


class Describes(Protocol):
    """What describes, as `mrag_client.answers.Answers` does."""

    def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> Iterator[Description | Failure]:
        """Describe pictures, each as soon as it is there, in their order."""


@dataclass(frozen=True)
class Counts:
    """Pictures described; left out, as every output has what it wants; and failed."""

    described: int = 0
    left_out: int = 0
    failed: int = 0

    @property
    def all(self) -> int:
        """The pictures that have had their turn."""
        return self.described + self.left_out + self.failed


@dataclass(frozen=True)
class _Asked:
    """A picture whose description is waited for; `failed`: another output cannot take it."""

    picture: Path
    outputs: Sequence[Output]
    failed: bool


class Takeaway:
    """Describes pictures by a collection and hands the descriptions to outputs.

    `tell` is told of each picture that nothing comes of, by name and reason; `show` is given each
    description.
    """

    def __init__(
        self,
        answers: Describes,
        outputs: Sequence[Output],
        *,
        collection: str = "",
        options: CaptionOptions | None = None,
        tell: Callable[[Path, str], None],
        show: Callable[[Description], None] = lambda _: None,
    ) -> None:
        self._answers, self._outputs = answers, outputs
        self._collection, self._options = collection, options or CaptionOptions()
        self._tell, self._show = tell, show
        self._now: MadeWith | None = None
        self._pending: deque[_Asked] = deque()
        self.counts = Counts()

    def run(self, pictures: Sequence[Path], on_progress: OnProgress = silent) -> None:
        """Describe those pictures that an output wants."""
        before = self.counts.all

        def step() -> None:
            on_progress(Progress("describe", self.counts.all - before, len(pictures)))

        step()
        wanted = self._wanted(pictures, step)
        if self._now is None and any(output.compares for output in self._outputs):
            self._ask(wanted, step, alone=True)  # so that the others can be compared
        while self._ask(wanted, step):
            pass

    def _wanted(self, pictures: Iterable[Path], step: Callable[[], None]) -> Iterator[NamedPicture]:
        for picture in pictures:
            check_cancelled()
            failed, wanting = False, []
            for output in self._outputs:
                try:
                    if output.wants(picture, self._now):
                        wanting.append(output)
                except Untaken as error:
                    failed = True
                    self._tell(picture, str(error))
            if wanting or not self._outputs:
                self._pending.append(_Asked(picture, wanting, failed))
                yield NamedPicture(str(picture), picture)
            else:
                self._count(failed=failed, left_out=not failed)
                step()

    def _ask(
        self, wanted: Iterator[NamedPicture], step: Callable[[], None], *, alone: bool = False
    ) -> bool:
        """Describe what is wanted, or the first of it alone; whether there may be more."""
        first = next(wanted, None)
        if first is None:
            return False
        asked = [first] if alone else chain([first], wanted)
        try:
            for answer in self._answers.caption(asked, self._options, collection=self._collection):
                self._take(self._pending.popleft(), answer)
                step()
        except (*_OF_THESE, ServerRefused) as error:
            named = isinstance(error, ServerRefused) and error.kind
            if not self.counts.described or (named and named not in _NAMES):
                raise
            while self._pending:
                self.fail(self._pending.popleft().picture, str(error))
                step()
        return True

    def _take(self, asked: _Asked, answer: Description | Failure) -> None:
        if isinstance(answer, Failure):
            self.fail(asked.picture, answer.error)
            return
        if not answer.caption.strip():
            self.fail(asked.picture, "the generator wrote nothing")
            return
        self._now = answer.made_with
        failed = asked.failed
        for output in asked.outputs:
            try:
                output.write(asked.picture, answer)
            except Untaken as error:
                failed = True
                self._tell(asked.picture, str(error))
        self._count(failed=failed, described=not failed)
        self._show(answer)

    def fail(self, picture: Path, reason: str) -> None:
        """Tell of a picture, or a folder of some, that nothing comes of."""
        self._tell(picture, reason)
        self._count(failed=True)

    def _count(
        self, *, described: bool = False, left_out: bool = False, failed: bool = False
    ) -> None:
        now = self.counts
        self.counts = replace(
            now,
            described=now.described + described,
            left_out=now.left_out + left_out,
            failed=now.failed + failed,
        )
