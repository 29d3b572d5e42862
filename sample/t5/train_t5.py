"""Train a tiny T5 to do what FLAN-T5 is prompted to do with captions that were retrieved.

It makes one caption of them, judges which fit a query, and answers questions from them. Two
stages: `base` learns from imagined retrievals, from scratch; `final` goes on with what the
trained CLIP really retrieves for fresh pictures of scenes that are not held out.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, T5ForConditionalGeneration, T5Tokenizer

from sample.t5.answering import about_one, about_several
from sample.t5.judging import listwise, pointwise
from sample.t5.retrievals import Retrieved, example, imagined, real, renamed
from sample.t5.t5_folder import build_tokenizer, new_model, save_model
from sample.world.questions import KINDS, Kind

BASE_STEPS = 4000
BASE_RATE, FINAL_RATE = 2e-3, 5e-4  # faster, the final stage forgets what the base has learnt
_LETTERS = 24_000  # in the prompts of a batch, filled up to the longest: about 5,500 tokens
_EASY_SHARE = 0.1
_IMAGINED_SHARE = 0.04
_NEAR = 0.75
_IGNORED = -100
_TOGETHER = 600  # examples that are sorted by length together

Pair = tuple[str, str]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """A round of the final stage: so many steps on what is retrieved for so many pictures."""

    steps: int
    pictures: int
    seed: int
    first_picture: int


@dataclass(frozen=True)
class Shares:
    """How many of the examples are of each task, which add up to one with those that describe.

    Of the questions about `one` picture the kinds are drawn from `asked`.
    """

    pointwise: float
    listwise: float
    several: float
    one: float
    asked: tuple[Kind, ...] = KINDS


# A pointwise prompt is short, and nothing but very many teach it.
BASE_SHARES = Shares(pointwise=0.42, listwise=0.06, several=0.06, one=0.14)
# After the base stage a yes is still no better than a guess where there are several captions.
FINAL_SHARES = Shares(
    pointwise=0.15,
    listwise=0.08,
    several=0.08,
    one=0.25,
    asked=(*KINDS, "existence", "existence", "existence", "comparison", "counting"),
)
ROUNDS = (Round(1000, 6000, 2, 2_000_000),)
QUICK_STEPS = 10
QUICK_ROUNDS = (Round(10, 40, 2, 2_000_000),)


def task(found: Callable[[], Retrieved], shares: Shares, near: float, rng: Random) -> Pair:
    """An example of one of the tasks; `near` says how often what is wrong is nearly right."""
    tasks: list[tuple[float, Callable[[], Pair]]] = [
        (shares.pointwise, lambda: pointwise(rng, near)),
        (shares.listwise, lambda: listwise(rng, near)),
        (shares.several, lambda: about_several(rng)),
        (shares.one, lambda: about_one(renamed(found(), rng), rng, shares.asked)),
    ]
    told = 1 - sum(share for share, _ in tasks)
    tasks.append((told, lambda: example(renamed(found(), rng), rng)))
    (make,) = rng.choices([make for _, make in tasks], [share for share, _ in tasks])
    return make()


def base_examples(steps: int, rng: Random) -> Callable[[int], Pair]:
    """Examples from imagined retrievals, from easy to hard.

    The first ones only describe, from true captions, and what is judged wrong is at first quite
    another thing.
    """

    def draw(step: int) -> Pair:
        if step < _EASY_SHARE * steps:
            return example(imagined(rng, all_true=True), rng)
        return task(lambda: imagined(rng), BASE_SHARES, 0.8 * step / steps, rng)

    return draw


def final_examples(pool: Sequence[Retrieved], rng: Random) -> Callable[[int], Pair]:
    """Examples from real retrievals, and a few imagined ones."""

    def found() -> Retrieved:
        return imagined(rng) if rng.random() < _IMAGINED_SHARE else rng.choice(pool)

    return lambda _: task(found, FINAL_SHARES, _NEAR, rng)


def _batches(draw: Callable[[int], Pair], rng: Random) -> Iterator[list[Pair]]:
    """Batches of examples of about equal length, each of about as many letters; no end of them."""
    step = 0
    while True:
        drawn = sorted((draw(step) for _ in range(_TOGETHER)), key=lambda pair: len(pair[0]))
        batches: list[list[Pair]] = [[]]
        for pair in drawn:
            if len(pair[0]) * (len(batches[-1]) + 1) > _LETTERS:
                batches.append([])
            batches[-1].append(pair)
        rng.shuffle(batches)
        yield from batches
        step += len(batches)


def _loss(
    model: T5ForConditionalGeneration, tokenizer: T5Tokenizer, pairs: Sequence[Pair]
) -> torch.Tensor:
    inputs = tokenizer([prompt for prompt, _ in pairs], padding=True, return_tensors="pt")
    labels = tokenizer([answer for _, answer in pairs], padding=True, return_tensors="pt").input_ids
    labels[labels == tokenizer.pad_token_id] = _IGNORED
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, labels=labels
        )
    return _by_example(output.logits.float(), labels)


def _by_example(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean loss of examples, not of words: a yes weighs as much as a caption."""
    words = cross_entropy(logits.transpose(1, 2), labels, ignore_index=_IGNORED, reduction="none")
    told = (labels != _IGNORED).sum(1)
    return (words.sum(1) / told).mean()


def _optimizers(model: T5ForConditionalGeneration, rate: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al., 2024) for the layers' matrices, AdamW for embeddings and scales.

    With AdamW alone yes and no were hardly told apart after as many examples.
    """
    embedded = {
        id(weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for weight in module.parameters()
    }
    weights = list(model.parameters())
    matrices = [one for one in weights if one.ndim == 2 and id(one) not in embedded]
    others = [one for one in weights if one.ndim != 2 or id(one) in embedded]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


def _fit(
    model: T5ForConditionalGeneration,
    tokenizer: T5Tokenizer,
    batches: Iterator[list[Pair]],
    steps: int,
    rate: float,
) -> None:
    optimizers = _optimizers(model, rate)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min(
                (step + 1) / 100, 0.01 + 0.495 * (1 + math.cos(math.pi * step / steps))
            ),
        )
        for optimizer in optimizers
    ]
    model.train()
    started, running = time.monotonic(), 0.0
    for step, pairs in enumerate(islice(batches, steps)):
        loss = _loss(model, tokenizer, pairs)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        running = 0.95 * running + 0.05 * loss.item() if step else loss.item()
        if step % 50 == 0 or step == steps - 1:
            _log.info("step %d loss %.3f %.0f s", step, running, time.monotonic() - started)


def train_base(folder: Path, steps: int = BASE_STEPS, seed: int = 1) -> None:
    """Train from scratch on imagined retrievals."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = Random(seed)
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer))
    _fit(model, tokenizer, _batches(base_examples(steps, rng), rng), steps, BASE_RATE)
    save_model(model, tokenizer, folder, torch.float32)  # training goes on from here


def train_final(base: Path, clip: Path, folder: Path, rounds: Sequence[Round] = ROUNDS) -> None:
    """Go on from the base model with what the CLIP retrieves."""
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = T5ForConditionalGeneration.from_pretrained(base)
    for one in rounds:
        torch.manual_seed(one.seed)
        rng = Random(one.seed)
        pool = real(clip, one.pictures, one.first_picture)
        batches = _batches(final_examples(pool, rng), rng)
        _fit(model, tokenizer, batches, one.steps, FINAL_RATE)
    save_model(model, tokenizer, folder, torch.float16)


def main() -> None:
    """Train one stage from the command line."""
    parser = argparse.ArgumentParser(description="Train the sample world's tiny T5.")
    parser.add_argument("stage", choices=("base", "final"))
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--clip", type=Path, help="folder of the trained CLIP (final)")
    parser.add_argument("--out", type=Path, help="folder of the final model (final)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.stage == "base":
        train_base(args.base)
    else:
        train_final(args.base, args.clip, args.out)


if __name__ == "__main__":
    main()
