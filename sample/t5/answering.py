"""What the T5 learns to answer by: questions about one picture, and about several."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from engine.ask.prompts import ANSWER, LISTED, NOT_SAID
from sample.t5.prompts import reworded
from sample.t5.retrievals import Retrieved
from sample.world.captions import caption
from sample.world.questions import KINDS, Kind, Question, question_about, question_over
from sample.world.reading import read_caption
from sample.world.scenes import Scene, avoiding, natural_scene, random_scene, sibling
from sample.world.splits import held_out_meanings

Pair = tuple[str, str]

OTHER_ANSWER = (
    "Captions:\n{captions}\nQuestion: {question}\nAnswer:",
    "{captions}\nAnswer this question from the captions alone: {question}",
    'Question: {question}\nCaptions of pictures:\n{captions}\nAnswer, or say "the captions do '
    'not say":',
    "Captions of one picture:\n{captions}\nQuestion: {question}\nAnswer from these captions:",
)
_COUNTS = (1, 2, 3, 3, 4, 4, 4, 5, 6, 8)
_MOST_PICTURES = 8
_SAME = 0.25
# Counts and lists of a collection are told by its index, so few of these are learnt.
_MANY_KINDS: tuple[Kind, ...] = (
    "existence", "existence", "existence", "place", "comparison", "unanswerable", "unanswerable",
    "counting", "listing",
)  # fmt: skip


def _prompt(texts: Sequence[str], question: str, rng: Random, same: bool = False) -> str:
    """The prompt; captions of the `same` picture have one number."""
    lines = (
        LISTED.format(number=1 if same else at, caption=text) for at, text in enumerate(texts, 1)
    )
    wording = reworded(ANSWER, OTHER_ANSWER, rng)
    return wording.format(captions="\n".join(lines), question=question)


def _answer(question: Question, texts: Sequence[str]) -> str:
    """The right answer, or that it isn't said where no caption says a place."""
    silent = not any(read_caption(text).place for text in texts)
    return NOT_SAID if question.kind == "place" and silent else question.answer


def about_one(found: Retrieved, rng: Random, kinds: Sequence[Kind] = KINDS) -> Pair:
    """A question of one of these kinds about the picture whose captions were retrieved."""
    texts = list(found.captions[: rng.choice(_COUNTS)])
    while True:
        kind = rng.choice(kinds)
        question = question_about("", found.scene.meaning, kind, rng, training=True)
        if question is not None:
            prompt = _prompt(texts, question.text, rng, same=rng.random() < _SAME)
            return prompt, _answer(question, texts)


def _pictured(rng: Random) -> list[Scene]:
    """Scenes of a few pictures, some of them much alike."""
    held_out = held_out_meanings()
    draw = avoiding(natural_scene if rng.random() < 0.7 else random_scene, held_out)
    scenes = [draw(rng)]
    for _ in range(rng.randint(0, _MOST_PICTURES - 1)):
        other = sibling(scenes[0], rng) if rng.random() < 0.5 else draw(rng)
        scenes.append(draw(rng) if other.meaning in held_out else other)
    rng.shuffle(scenes)
    return scenes


def about_several(rng: Random) -> Pair:
    """A question about several pictures, each of which has one caption."""
    while True:
        texts = [caption(scene, rng) for scene in _pictured(rng)]
        truth = {f"[{at}]": read_caption(text) for at, text in enumerate(texts, 1)}
        if any(not meaning.place for meaning in truth.values()):
            continue
        question = question_over(truth, rng.choice(_MANY_KINDS), rng, training=True)
        if question is not None:
            return _prompt(texts, question.text, rng), question.answer
