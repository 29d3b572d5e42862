"""What each stage of an answer is asked, always for several questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Q = TypeVar("Q")
T = TypeVar("T")
R = TypeVar("R")
Q_contra = TypeVar("Q_contra", contravariant=True)


@dataclass(frozen=True)
class Found(Generic[T]):
    """What was found for one question, best first, and what a stage has to say of it.

    `notes` are of the stage that gives it alone: none is handed on to the next.
    """

    items: tuple[T, ...] = ()
    notes: tuple[str, ...] = ()


class Retriever(Protocol[Q_contra, T]):
    """Finds what may answer."""

    @property
    def name(self) -> str:
        """What a trace calls it, as in "retrieve: mapped"."""

    def retrieve(self, asked: Sequence[Q_contra]) -> list[Found[T]]:
        """Find for each question what may answer it, best first."""


class Reranker(Protocol[Q_contra, T]):
    """Puts what was found into a better order."""

    @property
    def name(self) -> str:
        """What a trace calls it, as in "rerank: pointwise"."""

    def rerank(self, asked: Sequence[Q_contra], found: Sequence[Found[T]]) -> list[Found[T]]:
        """For each question the same items in their new order; what was not judged keeps its."""


class Refiner(Protocol[Q_contra, T]):
    """Takes out, joins or shortens what was found, before it is answered from."""

    @property
    def name(self) -> str:
        """What a trace calls it, as in "refine: near copies"."""

    def refine(self, asked: Sequence[Q_contra], found: Sequence[Found[T]]) -> list[Found[T]]:
        """For each question the items that are left, each under its own key, best first."""


class Answerer(Protocol[Q_contra, T, R]):
    """Makes the answer from what is left."""

    @property
    def name(self) -> str:
        """What a trace calls it, as in "answer"."""

    def answer(self, asked: Sequence[Q_contra], found: Sequence[Found[T]]) -> list[R]:
        """The answer to each question."""
