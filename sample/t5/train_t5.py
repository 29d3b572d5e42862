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
from pathlib import Path
from random import Random

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, T5ForConditionalGeneration, T5Tokenizer

from sample.t5.answering import about_one, about_several
from sample.t5.judging import listwise, pointwise
from sample.t5.retrievals import Retrieved, example, imagined, real, renamed
from sample.t5.t5_folder import build_tokenizer, new_model, save_model

BASE_STEPS = 2600
BATCH = 48
BASE_RATE, FINAL_RATE = 2e-3, 1.5e-3
_EASY_SHARE = 0.15
_IMAGINED_SHARE = 0.04
_NEAR = 0.75
# Shares of the tasks, added up: pointwise, listwise, about several pictures, about one; the
# rest describes.
_POINTWISE, _JUDGING, _SEVERAL, _ANSWERING = 0.2, 0.28, 0.33, 0.45
_IGNORED = -100
_TOGETHER = 8  # batches whose examples are sorted by length together

Pair = tuple[str, str]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """A round of the final stage: so many steps on what is retrieved for so many pictures."""

    steps: int
    pictures: int
    seed: int
    first_picture: int


ROUNDS = (Round(3600, 8000, 2, 2_000_000),)
QUICK_STEPS = 10
QUICK_ROUNDS = (Round(10, 40, 2, 2_000_000),)


def task(found: Callable[[], Retrieved], near: float, rng: Random) -> Pair:
    """An example of one of the tasks, mostly of describing; `near`: how often wrongs are alike."""
    kind = rng.random()
    if kind < _JUDGING:
        return (pointwise if kind < _POINTWISE else listwise)(rng, near)
    if kind < _SEVERAL:
        return about_several(rng)
    retrieved = renamed(found(), rng)
    return about_one(retrieved, rng) if kind < _ANSWERING else example(retrieved, rng)


def base_examples(steps: int, rng: Random) -> Callable[[int], Pair]:
    """Examples from imagined retrievals, from easy to hard.

    The first ones only describe, from true captions, and what is judged wrong is at first quite
    another thing.
    """

    def draw(step: int) -> Pair:
        if step < _EASY_SHARE * steps:
            return example(imagined(rng, all_true=True), rng)
        return task(lambda: imagined(rng), 0.8 * step / steps, rng)

    return draw


def final_examples(pool: Sequence[Retrieved], rng: Random) -> Callable[[int], Pair]:
    """Examples from real retrievals, and a few imagined ones."""

    def found() -> Retrieved:
        return imagined(rng) if rng.random() < _IMAGINED_SHARE else rng.choice(pool)

    return lambda _: task(found, _NEAR, rng)


def _batches(draw: Callable[[int], Pair], steps: int, rng: Random) -> Iterator[list[Pair]]:
    """Batches of examples of about equal length."""
    for start in range(0, steps, _TOGETHER):
        drawn = sorted((draw(start) for _ in range(_TOGETHER * BATCH)), key=lambda p: len(p[0]))
        batches = [drawn[at : at + BATCH] for at in range(0, len(drawn), BATCH)]
        rng.shuffle(batches)
        yield from batches[: steps - start]


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


def _fit(
    model: T5ForConditionalGeneration,
    tokenizer: T5Tokenizer,
    batches: Iterator[list[Pair]],
    steps: int,
    rate: float,
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / 100, 0.01 + 0.495 * (1 + math.cos(math.pi * step / steps))),
    )
    model.train()
    started, running = time.monotonic(), 0.0
    for step, pairs in enumerate(batches):
        loss = _loss(model, tokenizer, pairs)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
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
    _fit(model, tokenizer, _batches(base_examples(steps, rng), steps, rng), steps, BASE_RATE)
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
        batches = _batches(final_examples(pool, rng), one.steps, rng)
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
