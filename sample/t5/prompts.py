"""The prompts that the tiny T5 learns to follow: what FLAN-T5 would be asked."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

PAPER = (
    "Similar images have the following captions:\n{captions}\n"
    "A caption that describes this image is:"
)
SMALLCAP = "Similar images show\n\n{captions}\n\nThis image shows"
SUMMARISE = "Summarize these captions in one sentence:\n{captions}\nSummary:"
_OTHERS = (
    "Captions of similar images:\n{captions}\nCaption of this image:",
    "Similar images show:\n{captions}\nThis image shows:",
    "Describe the image. Similar captions:\n{captions}\nDescription:",
    "{captions}\nSummarize these captions in one sentence:",
    "These captions belong to images that look like this one:\n{captions}\nThis image shows:",
    "{captions}\nThe best caption for the image is:",
)
PROMPTS = (PAPER, SMALLCAP, SUMMARISE, *_OTHERS)
# Words that may stand in an instruction: seen in training so that new wordings do little harm.
_FILLER_TEXT = (
    "the a an of in on to and is it for with as by at from that this these you your please give "
    "me one short new good best likely true single correct simple clear text sentence caption "
    "captions image images picture photo photos describe describes description write generate "
    "create make say tell combine using use based following below above retrieved similar nearest "
    "neighbours look like what can be seen shows show shown would could should content scene "
    "context examples example list given task answer question output result now then here are "
    "some other related might wrong help summary summarize sum up accurate brief english model "
    "assistant visual human person wrote"
)
FILLER = _FILLER_TEXT.split()


def _random_wording(rng: Random) -> str:
    before = " ".join(rng.choices(FILLER, k=rng.randint(0, 10))).capitalize()
    after = " ".join(rng.choices(FILLER, k=rng.randint(1, 8))).capitalize()
    return f"{before}{rng.choice(':.')}\n{{captions}}\n{after}{rng.choice(':?')}"


def random_prompt(rng: Random) -> str:
    """A prompt to train with: mostly the paper's, sometimes one that nobody wrote."""
    kind = rng.random()
    if kind < 0.6:
        return PAPER
    if kind < 0.7:
        return SMALLCAP
    if kind < 0.8:
        return SUMMARISE
    return rng.choice(_OTHERS) if kind < 0.92 else _random_wording(rng)


def reworded(usual: str, others: Sequence[str], rng: Random) -> str:
    """Mostly the usual wording of a task, sometimes another."""
    return usual if rng.random() < 0.75 else rng.choice(others)


def listing(texts: Sequence[str], rng: Random) -> str:
    """The captions, mostly one a line, sometimes as a list."""
    style = rng.random()
    if style < 0.9:
        return "\n".join(texts)
    if style < 0.95:
        return "\n".join(f"- {text}" for text in texts)
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
