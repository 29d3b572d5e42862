"""What a terminal, an agent or a program may ask, whoever answers: an engine here, or a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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


@dataclass(frozen=True)
class NamedPicture:
    """A picture that is given: a file of this machine, or its bytes; `name` is how it is told."""

    name: str
    source: Path | bytes


@dataclass(frozen=True)
class StoredPicture:
    """A picture of the collection, by the id that its hits have; its file may have moved."""

    id: str

    @property
    def name(self) -> str:
        """How it is told."""
        return self.id


GivenPicture = NamedPicture | StoredPicture


class Answers(Protocol):
    """Answers over collections; "" is the collection of the settings, or the only one.

    Pictures that cannot be read or described come back as Failure in their place; what concerns
    all of them raises: an engine's own error, or, of a server, the same error made of its problem.
    """

    def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> Iterator[Description | Failure]:
        """Describe pictures, each as soon as it is there, in their order."""

    def search(
        self,
        options: SearchOptions,
        *,
        image: NamedPicture | None = None,
        collection: str = "",
    ) -> list[SearchAnswer]:
        """Find pictures: an answer for each space that is asked for, in that order."""

    def facets(self, options: SearchOptions, *, collection: str = "") -> FacetsAnswer:
        """What the pictures that satisfy the filters of a search can be filtered by further."""

    def compare(
        self, images: Sequence[GivenPicture], k: int = 5, *, collection: str = ""
    ) -> Iterator[ComparisonAnswer | Failure]:
        """The captions nearest to each picture, raw beside mapped."""

    def ask(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> AskAnswer:
        """Answer a question about pictures that are given, or about a collection.

        Raises UnreadableImage for a picture that cannot be opened, InvalidInput for no question.
        """

    def ask_events(
        self, options: AskOptions, *, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> Iterator[AskEvent]:
        """The same, event by event as they come: what is searched, pieces of text, the answer."""

    def duplicates(self, options: DuplicateOptions, *, collection: str = "") -> DuplicatesAnswer:
        """What a collection holds more than once, as far as it was compared; see `waiting`."""

    def correct(
        self, picture: str, options: CorrectionOptions, *, collection: str = ""
    ) -> CorrectionsAnswer:
        """Say what a picture shows in place of what is said of it; it is on disk then.

        A picture is named by its id, by the path of its file or by what its source calls it.
        """

    def undo_correction(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """Take the last correction of a picture back."""

    def corrections(self, picture: str, *, collection: str = "") -> CorrectionsAnswer:
        """All that was said of a picture, the latest first."""

    def learned(self, *, look: bool = False, collection: str = "") -> LearnedAnswer:
        """What a collection has learned; `look`: see which other descriptions would differ."""

    def describe_differing(self, *, collection: str = "") -> LearnedAnswer:
        """Describe those pictures again whose generated descriptions would differ now."""

    def outline(
        self, video: NamedPicture, options: OutlineOptions, *, collection: str = ""
    ) -> OutlineAnswer:
        """What is seen in a video, shot by shot; raises UnreadableImage for what is none."""

    def tag(self, options: TagOptions, *, collection: str = "") -> TagsAnswer:
        """Give pictures labels of a list, or only say which they would get.

        Labels are those of the tagging's name: one of the same name is replaced.
        """

    def labelled(self, options: LabelledOptions, *, collection: str = "") -> LabelledAnswer:
        """A page of all pictures that a tagging gives labels, or would; nothing is written."""

    def taggings(self, *, collection: str = "") -> TaggingsAnswer:
        """The taggings of a collection, by name."""

    def untag(self, name: str, *, collection: str = "") -> TaggingsAnswer:
        """Take a tagging back; what stands then."""

    def collections(self) -> list[CollectionAnswer]:
        """All collections at a glance, by name."""

    def delete(self, collection: str) -> None:
        """Delete a collection for good; pictures in folders of their owner stay."""
