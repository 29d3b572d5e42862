"""A picture's description corrected by its owner: kept, taken back, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from corpus.corrections import (
    Correction,
    CorrectionKind,
    checked_text,
    correction_of,
    stands,
    waiting,
)
from corpus.ledger import KnownFile, Ledger
from engine.app import Collection, Engine
from engine.errors import InvalidInput, StoreLocked
from engine.store import picture_id
from engine.types import ImageHit
from ingest.corrections import (
    Learned,
    corrections_of,
    learn,
    learned,
    level,
    note_correction,
    take_in,
    undo_of,
)
from ingest.differing import Differing, Looked, describe_differing, look
from ingest.jobs.learner import Following, Learner
from mrag_client.models import (
    CorrectionAnswer,
    CorrectionOptions,
    CorrectionsAnswer,
    DifferingPicture,
    LearnedAnswer,
    LearnedStep,
)
from service.access.visitor import Visitor

HERE = "this machine"
"""Who corrects where nobody is asked who they are."""

_MOMENT_S = 2.0
"""How long an answer waits for its correction to be found by search: it is safe before that."""


def name_of(visitor: Visitor) -> str:
    """Under which name somebody's corrections are kept."""
    return visitor.name if visitor.by in {"key", "sign-in"} else HERE


@dataclass(frozen=True)
class Corrector:
    """Corrects pictures of an engine's collections in somebody's name.

    With a `learner` what follows is done in the background, else before the answer.
    """

    engine: Engine
    who: str = HERE
    learner: Learner | None = None
    paths: bool = True

    def correct(self, name: str, picture: str, options: CorrectionOptions) -> CorrectionsAnswer:
        """Keep a correction; it is on disk when this returns.

        Raises InvalidInput for a picture that is not there and for a text that cannot be kept.
        """
        collection = self.engine.open(name)
        hit = picture_named(collection, picture)
        shown = _shown(collection, hit)
        text = checked_text(options.text or (shown if options.accept else ""))
        if options.accept and not options.text and hit.payload["source"] != "generated":
            raise InvalidInput(
                "people wrote what is said of this picture; there is nothing to accept"
            )
        kind: CorrectionKind = "accepted" if options.accept else "edited"
        sha256 = str(hit.payload["sha256"])
        made = correction_of(sha256, kind, text, replaced=shown, who=self.who)
        return self._kept(collection, hit, made)

    def undo(self, name: str, picture: str) -> CorrectionsAnswer:
        """Take the last correction of a picture back; raises InvalidInput where none stands."""
        collection = self.engine.open(name)
        hit = picture_named(collection, picture)
        made = undo_of(collection.folder, str(hit.payload["sha256"]), self.who)
        return self._kept(collection, hit, made)

    def history(self, name: str, picture: str) -> CorrectionsAnswer:
        """All that was said of a picture."""
        collection = self.engine.open(name)
        return _answer(collection, picture_named(collection, picture))

    def learned(self, name: str, *, look_again: bool = False) -> LearnedAnswer:
        """What a collection has learned, and what it is doing about it.

        `look_again`: also see which other descriptions would differ; of a background that comes
        with a later answer.
        """
        collection = self.engine.open(name)
        if self.learner is None:
            found = look(collection) if look_again else None
            return self._learned(collection, Following(looked=found))
        if look_again:
            self.learner.look(collection.card.name)
        return self._learned(collection, self.learner.following(collection.card.name))

    def describe_differing(self, name: str) -> LearnedAnswer:
        """Describe those pictures again whose descriptions would differ, maybe in a background."""
        collection = self.engine.open(name)
        if self.learner is not None:
            self.learner.describe_differing(collection.card.name)
            return self._learned(collection, self.learner.following(collection.card.name))
        again = [one.sha256 for one in look(collection).differing]
        if again:
            describe_differing(collection, self.engine.settings, again)
        return self._learned(collection, Following(looked=look(collection)))

    def _kept(self, collection: Collection, hit: ImageHit, made: Correction) -> CorrectionsAnswer:
        note_correction(collection.folder, made)
        if self.learner is not None:
            self.learner.follow(collection.card.name)
            self.learner.settled(collection.card.name, _MOMENT_S)
        else:
            self._follow(collection)
        return _answer(collection, hit)

    def _follow(self, collection: Collection) -> None:
        """Do here and now what follows, unless another process writes the collection."""
        folder, settings = collection.folder, self.engine.settings
        try:
            take_in(folder, collection.encoder)
            level(folder, collection.card, settings)
            learn(folder, collection.card, settings)
        except StoreLocked:
            return  # it waits on disk, which the answer says

    def _learned(self, collection: Collection, following: Following) -> LearnedAnswer:
        steps = learned(collection.folder)
        late = len(waiting(collection.folder.corrections))
        looked = following.looked or Looked(0, ())
        return LearnedAnswer(
            collection=collection.card.name,
            state=following.state,
            trouble=following.trouble,
            waiting=late,
            first=_step(steps[0]) if steps else None,
            before=_step(steps[-2]) if len(steps) > 1 else None,
            now=_step(steps[-1]) if steps else None,
            checked=looked.checked if following.looked else None,
            differing=tuple(self._differing(one) for one in looked.differing),
        )

    def _differing(self, one: Differing) -> DifferingPicture:
        uri = one.uri if self.paths else PurePath(one.uri).name
        return DifferingPicture(id=one.id, uri=uri, now=one.now, then=one.then)


def chance(held_out: int) -> float:
    """By how much chance alone moves a mean of so many numbers from 0 to 1 at most (95 %)."""
    return float(1.96 * 0.5 / max(1, held_out) ** 0.5)


def picture_named(collection: Collection, named: str) -> ImageHit:
    """A picture by its id, by the path of its file, or by what a source calls it.

    Raises InvalidInput where there is none, or where several are called so.
    """
    try:
        found = collection.images.get([named])
    except InvalidInput:  # an id that can be no picture's
        found = []
    if found:
        return found[0]
    with Ledger.read(collection.folder) as ledger:
        file = file_named(ledger, named)
        known = [file.picture] if file else ledger.named(named)
    if len(known) > 1:
        raise InvalidInput(f"{len(known)} pictures are called {named!r}; name one by its id")
    found = collection.images.get([picture_id(known[0].sha256)]) if known else []
    if not found:
        raise InvalidInput(
            f"collection {collection.card.name!r} has no picture {named!r}; give the id that a "
            "search shows, or the path of its file"
        )
    return found[0]


def file_named(ledger: Ledger, named: str) -> KnownFile | None:
    """What is known of the file at a path, None of what is none."""
    try:
        return ledger.file_at(Path(named).absolute()) or ledger.file_at(Path(named).resolve())
    except (OSError, ValueError):  # what can be no path: too long, or with a null byte
        return None


def _shown(collection: Collection, hit: ImageHit) -> str:
    """What is said of a picture first: also by a correction that is not taken in yet."""
    last = stands(corrections_of(collection.folder, str(hit.payload["sha256"])))
    return last.text if last else next(iter(hit.captions), "")


def _answer(collection: Collection, hit: ImageHit) -> CorrectionsAnswer:
    sha256 = str(hit.payload["sha256"])
    made = corrections_of(collection.folder, sha256)
    late = {one.id for one in waiting(collection.folder.corrections)}
    last, undone = stands(made), {one.undoes for one in made}
    now = collection.images.get([hit.id])
    captions = now[0].captions if now else hit.captions
    return CorrectionsAnswer(
        picture=hit.id,
        caption=last.text if last else next(iter(captions), ""),
        corrections=tuple(
            CorrectionAnswer(
                id=one.id,
                kind=one.kind,
                text=one.text,
                replaced=one.replaced,
                who=one.who,
                when=one.when,
                stands=last is not None and one.id == last.id,
                undone=one.id in undone,
                waiting=one.id in late,
            )
            for one in reversed(made)
        ),
    )


def _step(one: Learned) -> LearnedStep:
    return LearnedStep(
        when=one.when,
        corrections=one.corrections,
        method=one.method,
        reason=one.reason,
        score=one.score,
        held_out=one.held_out,
        without=one.without,
    )
