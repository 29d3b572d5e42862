"""Train a tiny CLIP on the sample world, from scratch and on one CPU thread.

A curriculum makes it trainable: single things first, then whole scenes, then families of
scenes that differ in one count, thing, group, place or relation. A second cycle goes on with
families alone, most of them natural. In a third words and short phrases are among the texts, as
queries are, and what is learnt of pictures stays as it is: with short texts from the start captions
are learnt more slowly, and pictures that learn of them are worth less in other looks. Scenes of
held-out meaning are never shown, and neither is any look but the plain one, compressed as files
are and now and then from farther away.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import open_clip
import torch
from torch.nn.functional import normalize

from sample.clip.clip_folder import MEAN, STD, save_weights, write_config, write_tokenizer
from sample.clip.contrast import Embedded, Facts, contrastive_loss
from sample.clip.pool import FAMILY, Pictures, Pool, small_picture
from sample.world.captions import caption
from sample.world.queries import Query, Wanted, short_query
from sample.world.reading import read_caption
from sample.world.scenes import Draw, Scene, avoiding, lone_scene
from sample.world.splits import held_out_meanings
from sample.write_pack import PACK

BATCH = 128
EARLIER_BATCHES = 8
_LONE_PICTURES = 1_000_000

_log = logging.getLogger(__name__)


def _cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _late_linear(done: float) -> float:
    return min(1.0, (1 - done) / 0.4)


def _linear(done: float) -> float:
    return 1 - done


@dataclass(frozen=True)
class Cycle:
    """A stretch of training with its own rise and fall of the learning rate.

    `lone_until` and `mixed_until` are the shares of the steps that show single things, then
    scenes at random; the rest shows families. `natural_share` of these start from natural
    scenes; of the pool's `families`, `renewed` are replaced at every step. `rate_at` gives
    the rate's factor by the share of the steps that is done. Of the texts `short_share` are no
    captions; with `texts_alone` pictures keep their embeddings.
    """

    steps: int
    rate: float
    rate_at: Callable[[float], float]
    seed: int
    first_picture: int
    lone_until: float
    mixed_until: float
    natural_share: float
    renewed: int
    families: int = 2500
    short_share: float = 0.0
    texts_alone: bool = False


CYCLES = (
    Cycle(600, 2e-3, _cosine, 1, 1_000_000, 0.05, 0.15, 0.7, 8),
    Cycle(2600, 1.6e-3, _late_linear, 5, 2_000_000, 0, 0, 0.85, 4),
    Cycle(1100, 7e-4, _linear, 9, 3_000_000, 0, 0, 0.85, 2, 1500, 0.3, texts_alone=True),
)
QUICK_CYCLES = (
    Cycle(6, 2e-3, _cosine, 1, 1_000_000, 0.2, 0.5, 0.7, 1, families=32),
    Cycle(4, 1.6e-3, _late_linear, 5, 2_000_000, 0, 0, 0.85, 1, 32, 0.2),
)


def to_input(pictures: Pictures) -> torch.Tensor:
    """Pictures (n, size, size, 3) as the model's normalised, channels-last input."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return images.contiguous(memory_format=torch.channels_last)


class Batches:
    """Batches of scenes and pictures, from easy to hard."""

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._draw_lone: Draw = avoiding(lone_scene, held_out_meanings())
        self._rng = Random(cycle.seed)
        self._numpy = np.random.default_rng(cycle.seed)
        self._pool = Pool(
            cycle.families,
            natural_share=cycle.natural_share,
            seed=cycle.seed,
            first_picture=cycle.first_picture,
        )

    def at(self, step: int) -> tuple[list[Scene], Pictures]:
        """The batch of one step."""
        if step < self._cycle.lone_until * self._cycle.steps:
            scenes = [self._draw_lone(self._rng) for _ in range(BATCH)]
            seeds = self._rng.sample(range(_LONE_PICTURES), BATCH)
            return scenes, np.stack(list(map(small_picture, scenes, seeds)))
        self._pool.renew(self._cycle.renewed)
        if step < self._cycle.mixed_until * self._cycle.steps:
            picked = self._numpy.choice(self._pool.families * FAMILY, BATCH, replace=False)
        else:
            first = self._numpy.choice(self._pool.families, BATCH // FAMILY, replace=False)
            picked = (first[:, None] * FAMILY + np.arange(FAMILY)).ravel()
        return [self._pool.scenes[i] for i in picked], self._pool.pictures[picked]


def _optimizer(model: torch.nn.Module, rate: float) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.98),
    )


def _schedule(optimizer: torch.optim.Optimizer, cycle: Cycle) -> torch.optim.lr_scheduler.LambdaLR:
    warmup = min(60, max(1, cycle.steps // 10))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, cycle.rate_at(step / cycle.steps))
    )


def _embed(
    model: Any, images: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = model.encode_image(images)
        text = model.encode_text(tokens)
    return normalize(image.float(), dim=-1), normalize(text.float(), dim=-1)


def text_of(scene: Scene, short_share: float, rng: Random) -> Query:
    """What is said of the scene: a caption, or now and then a word or a phrase."""
    if rng.random() < short_share:
        return short_query(scene, rng)
    text = caption(scene, rng)
    said = read_caption(text)
    return Query(text, Wanted(tuple(sorted(said.things)), said.place, only=True))


def _report(step: int, loss: float, now: Embedded, started: float) -> None:
    found = (now.image @ now.text.T).argmax(1)
    right = (found == torch.arange(len(found))).float().mean()
    passed = time.monotonic() - started
    _log.info("step %d loss %.3f batch R@1 %.2f %.0f s", step, loss, right, passed)


def _run(model: Any, tokenize: Callable[[list[str]], torch.Tensor], cycle: Cycle) -> None:
    """Train the model for one cycle."""
    rng = Random(cycle.seed)
    batches = Batches(cycle)
    model.visual.train(not cycle.texts_alone).requires_grad_(not cycle.texts_alone)
    optimizer = _optimizer(model, cycle.rate)
    schedule = _schedule(optimizer, cycle)
    earlier: deque[Embedded] = deque(maxlen=EARLIER_BATCHES)
    started = time.monotonic()
    for step in range(cycle.steps):
        scenes, pictures = batches.at(step)
        texts = [text_of(scene, cycle.short_share, rng) for scene in scenes]
        tokens = tokenize([text.text for text in texts])
        embedded = _embed(model, to_input(pictures), tokens)
        now = Embedded(*embedded, Facts.of(scenes, texts))
        loss = contrastive_loss(model.logit_scale.exp(), now, earlier)
        if step >= cycle.mixed_until * cycle.steps:
            earlier.append(now.detached())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % 50 == 0 or step == cycle.steps - 1:
            _report(step, loss.item(), now, started)


def train(folder: Path, cycles: Sequence[Cycle] = CYCLES) -> None:
    """Train from scratch and write the open_clip folder."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, write_tokenizer(folder))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.visual.to(memory_format=torch.channels_last)
    model.train()
    for cycle in cycles:
        _run(model, tokenize, cycle)
    save_weights(model, folder)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description="Train the sample world's tiny CLIP.")
    parser.add_argument("--out", type=Path, default=PACK / "clip")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(args.out)


if __name__ == "__main__":
    main()
