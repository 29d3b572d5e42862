"""What a model that sees is shown and asked: pictures with their numbers, captions, a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL.Image import Image

from engine.ask.finding import Question, Subject
from engine.ask.pieces import Piece, pictures_of
from engine.ask.prompts import LISTED, SEEN_ALONE, SEEN_WITH
from engine.ask.writing import plainly
from engine.describe.prompts import build_prompt
from engine.errors import InvalidInput
from engine.types import TextStream

See = Callable[[Piece], Image | None]
"""The picture of a piece, for a model that sees; None where it cannot be opened."""


@dataclass(frozen=True)
class Sight:
    """The pictures that a model is shown, in their order, and what is to be told of the others.

    `keys` say of which pieces they are; of given pictures they are empty.
    """

    images: tuple[Image, ...] = ()
    keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sight_of(question: Question, pieces: Sequence[Piece], see: See, most: int) -> Sight:
    """The given pictures, else those of the first pieces: as many as the model takes.

    One whose file is gone makes room for the next.
    """
    if question.subjects:
        return _of_given(question.subjects, see, most)
    opened: dict[str, Image] = {}
    gone = 0
    of = {piece.picture: piece for piece in reversed(pieces) if piece.hit is not None}
    keys = [key for key in pictures_of(pieces) if key in of]
    for key in keys:
        if len(opened) == most:
            break
        image = see(of[key])
        if image is None:
            gone += 1
        else:
            opened[key] = image
    notes = _notes(len(keys) - gone, gone, most)
    return Sight(tuple(opened.values()), tuple(opened), notes)


def _of_given(subjects: Sequence[Subject], see: See, most: int) -> Sight:
    """The given pictures themselves; of one of the collection its file is opened."""
    opened = []
    for one in subjects[:most]:
        if one.image is not None:
            opened.append(one.image)
        elif one.hit and (image := see(Piece("", one.hit.id, one.hit))) is not None:
            opened.append(image)
    gone = len(subjects[:most]) - len(opened)
    return Sight(tuple(opened), notes=_notes(len(subjects) - gone, gone, most))


def seeing_prompt(question: str, pieces: Sequence[Piece], sight: Sight, writer: TextStream) -> str:
    """The prompt that follows the pictures; captions as many, the first first, as it reads.

    Pictures have the numbers of the captions' prompt (`writing.prompt_of`); those without a
    caption come after these. Raises InvalidInput for a question that does not fit.
    """
    numbers = {
        picture: at
        for at, picture in enumerate(dict.fromkeys((*pictures_of(pieces), *sight.keys)), 1)
    }
    shown = _shown([numbers[key] for key in sight.keys], len(sight.images))
    if not pieces:
        prompt = SEEN_ALONE.format(shown=shown, question=plainly(question))
        if (tokens := writer.count_tokens(prompt)) > writer.max_input_tokens:
            raise InvalidInput(
                f"the question has {tokens} tokens, the model reads {writer.max_input_tokens}; "
                "ask in fewer words"
            )
        return prompt
    lines = [
        LISTED.format(number=numbers[piece.picture], caption=plainly(piece.text))
        for piece in pieces
    ]
    template = SEEN_WITH.replace("{shown}", shown).replace("{question}", plainly(question))
    return build_prompt(
        lines,
        template=template,
        budget=writer.max_input_tokens,
        count_tokens=writer.count_tokens,
    ).text


def _shown(numbers: Sequence[int], images: int) -> str:
    """Which pictures are shown, for the model."""
    if numbers:
        return f"Pictures shown, in this order: {', '.join(f'[{one}]' for one in numbers)}."
    what = "picture is the one" if images == 1 else "pictures are those"
    return f"The {what} that the question is about."


def _notes(there: int, gone: int, most: int) -> tuple[str, ...]:
    """What is to be told of pictures that the model was not shown."""
    notes = []
    if gone:
        notes.append(
            f"the files of {gone} pictures are gone or cannot be read: the model was shown the "
            "others, and of these the captions alone"
        )
    if there > most:
        notes.append(
            f"the model was shown {most} pictures, as many as it takes at once; for the "
            f"{there - most} others their captions speak"
        )
    return tuple(notes)
