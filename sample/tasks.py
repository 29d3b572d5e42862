"""What the pack's T5 can do beside describing: judge captions, and answer questions from them.

Every example is of a meaning that no model was trained on, and of other wordings too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from engine.ask.prompts import ANSWER, LISTED
from engine.rerank.prompts import LISTED as LETTERED
from engine.rerank.prompts import LISTWISE, NO, POINTWISE, YES
from sample.world.captions import caption
from sample.world.queries import Query, query_of
from sample.world.questions import KINDS, Kind, question_about, right
from sample.world.reading import read_caption
from sample.world.scenes import Meaning, Scene, sibling
from sample.world.splits import Shown

Flags = npt.NDArray[np.float64]
LISTED_TOGETHER = 10
_BATCH = 32


class Reads(Protocol):
    """Reads prompts: picks an answer of several, or writes one."""

    def choices(self, prompts: Sequence[str], choices: Sequence[str]) -> npt.NDArray[np.int64]:
        """Of each prompt, which choice's first token is likeliest to begin the answer."""

    def answers(self, prompts: Sequence[str]) -> list[str]:
        """The likeliest answers."""


@dataclass(frozen=True)
class Reader:
    """A T5 and its tokenizer, as transformers loads them."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> Reader:
        """Read them from a folder."""
        model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        return cls(model, AutoTokenizer.from_pretrained(folder))

    def choices(self, prompts: Sequence[str], choices: Sequence[str]) -> npt.NDArray[np.int64]:
        """See `Reads`."""
        first = [self.tokenizer(choice).input_ids[0] for choice in choices]
        found = []
        for at in range(0, len(prompts), _BATCH):
            inputs = self._inputs(prompts[at : at + _BATCH])
            start = torch.zeros((len(inputs.input_ids), 1), dtype=torch.long)
            with torch.inference_mode():
                logits = self.model(**inputs, decoder_input_ids=start).logits[:, 0]
            found.append(logits[:, first].argmax(1).numpy())
        return np.concatenate(found)

    def answers(self, prompts: Sequence[str]) -> list[str]:
        """See `Reads`."""
        texts: list[str] = []
        for at in range(0, len(prompts), _BATCH):
            with torch.inference_mode():
                output = self.model.generate(**self._inputs(prompts[at : at + _BATCH]))
            texts += self.tokenizer.batch_decode(output, skip_special_tokens=True)
        return texts

    def _inputs(self, prompts: Sequence[str]) -> Any:
        return self.tokenizer(list(prompts), padding=True, return_tensors="pt")


def _other_caption(scene: Scene, scenes: Sequence[Shown], rng: Random) -> str:
    """A caption of a scene like this one, or now and then of another."""
    return caption(sibling(scene, rng) if rng.random() < 0.7 else rng.choice(scenes).scene, rng)


def _fitting_caption(scene: Scene, query: Query, rng: Random) -> str:
    while not query.fits(read_caption(text := caption(scene, rng))):
        pass
    return text


def pointwise_right(reader: Reads, scenes: Sequence[Shown], count: int = 400) -> Flags:
    """Of captions and queries, half of which fit: whether yes or no is said rightly."""
    rng = Random(0)
    prompts: list[str] = []
    fits: list[bool] = []
    while len(prompts) < count:
        scene, fitting = rng.choice(scenes).scene, len(prompts) % 2 == 0
        query = query_of(scene, rng)
        make = caption(scene, rng) if fitting else _other_caption(scene, scenes, rng)
        if query.fits(read_caption(make)) == fitting:
            prompts.append(POINTWISE.format(caption=make, query=query.text))
            fits.append(fitting)
    return np.array(reader.choices(prompts, (NO, YES)) == np.array(fits), np.float64)


def listwise_right(reader: Reads, scenes: Sequence[Shown], count: int = 400) -> Flags:
    """Of lists of ten of which at least one fits: whether the likeliest letter is of one."""
    rng, prompts, fits = Random(0), [], []
    for _ in range(count):
        scene = rng.choice(scenes).scene
        query = query_of(scene, rng)
        texts = [_fitting_caption(scene, query, rng)]
        texts += [_other_caption(scene, scenes, rng) for _ in range(LISTED_TOGETHER - 1)]
        rng.shuffle(texts)
        lines = (
            LETTERED.format(letter=letter, caption=text)
            for letter, text in zip(ascii_uppercase, texts, strict=False)
        )
        prompts.append(LISTWISE.format(query=query.text, captions="\n".join(lines)))
        fits.append([query.fits(read_caption(text)) for text in texts])
    said = reader.choices(prompts, ascii_uppercase[:LISTED_TOGETHER])
    return np.array([fit[at] for fit, at in zip(fits, said, strict=True)], np.float64)


def answers_right(
    reader: Reads, found: Sequence[tuple[Meaning, Sequence[str]]]
) -> Iterator[tuple[Kind, Flags]]:
    """Of questions about pictures, given captions that were retrieved for them: right, by kind."""
    for kind in KINDS:
        rng, asked = Random(0), []
        for meaning, texts in found:
            question = question_about("", meaning, kind, rng)
            if question is not None:
                lines = "\n".join(
                    LISTED.format(number=at, caption=text) for at, text in enumerate(texts, 1)
                )
                asked.append((ANSWER.format(captions=lines, question=question.text), question))
        said = reader.answers([prompt for prompt, _ in asked])
        verdicts = [right(text, asked[at][1]) for at, text in enumerate(said)]
        yield kind, np.array(verdicts, np.float64)
