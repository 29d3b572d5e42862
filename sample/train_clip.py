"""Train a tiny CLIP on the sample world, from scratch and on one CPU thread.

A curriculum makes it trainable: single things first, then whole scenes, then families of
scenes that differ in one count, thing, place or relation. Scenes of held-out meaning are
never shown, and neither is any look but the plain one.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image
from torch.nn.functional import cross_entropy, normalize

from sample.captions import caption
from sample.clip_folder import MEAN, PICTURE_SIZE, STD, save_weights, write_config, write_tokenizer
from sample.places import PLACES
from sample.reading import read_caption
from sample.render import render
from sample.scenes import Draw, Scene, avoiding, family, lone_scene, natural_scene, random_scene
from sample.splits import held_out_meanings
from sample.write_pack import PACK

STEPS = 4800
BATCH = 128
RATE = 2e-3
FAMILY = 4
POOL_FAMILIES = 8000
RENEWED_PER_STEP = 8
NATURAL_SHARE = 0.7
LONE_UNTIL, MIXED_UNTIL = 0.05, 0.15  # shares of the steps
EARLIER_BATCHES = 8
_PICTURE_SEEDS = 1_000_000
_NEVER = -1e4

Pictures = npt.NDArray[np.uint8]
_log = logging.getLogger(__name__)


class Pool:
    """Families of scenes and their pictures, some of which are replaced at every step."""

    def __init__(self, families: int, seed: int) -> None:
        self._rng = Random(seed)
        self._next_seed = _PICTURE_SEEDS
        self._oldest = 0
        self.families = families
        self.scenes: list[Scene] = []
        self.pictures: Pictures = np.empty(
            (families * FAMILY, PICTURE_SIZE, PICTURE_SIZE, 3), np.uint8
        )
        held_out = held_out_meanings()
        self._natural, self._any = (
            avoiding(natural_scene, held_out),
            avoiding(random_scene, held_out),
        )
        self._held_out = held_out
        for at in range(families):
            self.scenes += self._draw_family()
            self._render(at)

    def renew(self, families: int) -> None:
        """Replace the oldest families by new ones."""
        for _ in range(families):
            at = self._oldest
            self.scenes[at * FAMILY : (at + 1) * FAMILY] = self._draw_family()
            self._render(at)
            self._oldest = (at + 1) % self.families

    def _draw_family(self) -> list[Scene]:
        draw = self._natural if self._rng.random() < NATURAL_SHARE else self._any
        while True:
            scenes = family(draw(self._rng), FAMILY, self._rng)
            if not any(scene.meaning in self._held_out for scene in scenes):
                return scenes

    def _render(self, at: int) -> None:
        for place in range(at * FAMILY, (at + 1) * FAMILY):
            self.pictures[place] = small_picture(self.scenes[place], self._next_seed)
            self._next_seed += 1


def small_picture(scene: Scene, seed: int) -> Pictures:
    """The scene's picture at the model's input size, (size, size, 3)."""
    side = (PICTURE_SIZE, PICTURE_SIZE)
    return np.asarray(render(scene, seed).resize(side, Image.Resampling.BICUBIC))


def to_input(pictures: Pictures) -> torch.Tensor:
    """Pictures (n, size, size, 3) as the model's normalised, channels-last input."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return images.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Facts:
    """Of n scenes and a text of each: numbers by which to see which text fits which scene."""

    arrangement: npt.NDArray[np.int64]  # the same number for the same groups and relation
    place: npt.NDArray[np.int64]
    placeless: npt.NDArray[np.bool_]  # the text does not say where

    @classmethod
    def of(cls, scenes: Sequence[Scene], texts: Sequence[str]) -> Facts:
        """Read them off scenes and texts."""
        return cls(
            np.array([hash((scene.groups, scene.relation)) for scene in scenes]),
            np.array([PLACES.index(scene.place) for scene in scenes]),
            np.array([not read_caption(text).place for text in texts]),
        )

    def fit(self, others: Facts) -> npt.NDArray[np.bool_]:
        """Mask (n, m), true where the other's text (column) fits the scene (row)."""
        alike = self.arrangement[:, None] == others.arrangement
        somewhere = others.placeless | (self.place[:, None] == others.place)
        return np.asarray(alike & somewhere)


@dataclass(frozen=True)
class Embedded:
    """A batch's unit embeddings of pictures and texts, and the facts about them."""

    image: torch.Tensor
    text: torch.Tensor
    facts: Facts

    def detached(self) -> Embedded:
        """The same without gradients."""
        return Embedded(self.image.detach(), self.text.detach(), self.facts)


def _ignored(now: Facts, other: Facts, same: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Negatives that are none, for picture -> other texts and text -> other pictures."""
    texts, pictures = now.fit(other), other.fit(now).T
    if same:
        np.fill_diagonal(texts, False)
        np.fill_diagonal(pictures, False)
    return torch.from_numpy(texts), torch.from_numpy(pictures.copy())


def contrastive_loss(
    scale: torch.Tensor, now: Embedded, earlier: Iterable[Embedded]
) -> torch.Tensor:
    """CLIP's symmetric loss, with earlier batches as further negatives.

    Texts that happen to fit another scene as well are no negatives of it.
    """
    to_text, to_image = [], []
    for other in (now, *earlier):
        no_text, no_image = _ignored(now.facts, other.facts, same=other is now)
        to_text.append((scale * now.image @ other.text.T).masked_fill(no_text, _NEVER))
        to_image.append((scale * now.text @ other.image.T).masked_fill(no_image, _NEVER))
    labels = torch.arange(len(now.image))
    both = (cross_entropy(torch.cat(logits, 1), labels) for logits in (to_text, to_image))
    return sum(both, torch.zeros(())) / 2


class Batches:
    """Batches of scenes and pictures, from easy to hard."""

    def __init__(self, steps: int, seed: int) -> None:
        self._steps = steps
        self._draw_lone: Draw = avoiding(lone_scene, held_out_meanings())
        self._rng = Random(seed)
        self._numpy = np.random.default_rng(seed)
        self._pool = Pool(POOL_FAMILIES, seed)

    def at(self, step: int) -> tuple[list[Scene], Pictures]:
        """The batch of one step."""
        if step < LONE_UNTIL * self._steps:
            scenes = [self._draw_lone(self._rng) for _ in range(BATCH)]
            seeds = self._rng.sample(range(_PICTURE_SEEDS), BATCH)
            return scenes, np.stack(list(map(small_picture, scenes, seeds)))
        self._pool.renew(RENEWED_PER_STEP)
        if step < MIXED_UNTIL * self._steps:
            picked = self._numpy.choice(self._pool.families * FAMILY, BATCH, replace=False)
        else:
            first = self._numpy.choice(self._pool.families, BATCH // FAMILY, replace=False)
            picked = (first[:, None] * FAMILY + np.arange(FAMILY)).ravel()
        return [self._pool.scenes[i] for i in picked], self._pool.pictures[picked]


def _optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=RATE,
        betas=(0.9, 0.98),
    )


def _schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    warmup = min(60, max(1, steps // 10))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * step / steps))),
    )


def _embed(
    model: Any, pictures: Pictures, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = model.encode_image(to_input(pictures))
        text = model.encode_text(tokens)
    return normalize(image.float(), dim=-1), normalize(text.float(), dim=-1)


def _report(step: int, loss: float, now: Embedded, started: float) -> None:
    found = (now.image @ now.text.T).argmax(1)
    right = (found == torch.arange(len(found))).float().mean()
    passed = time.monotonic() - started
    _log.info("step %d loss %.3f batch R@1 %.2f %.0f s", step, loss, right, passed)


def train(folder: Path, steps: int = STEPS, seed: int = 1) -> None:
    """Train from scratch and write the open_clip folder."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, write_tokenizer(folder))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.visual.to(memory_format=torch.channels_last)
    model.train()
    rng = Random(seed)
    batches = Batches(steps, seed)
    optimizer = _optimizer(model)
    schedule = _schedule(optimizer, steps)
    earlier: deque[Embedded] = deque(maxlen=EARLIER_BATCHES)
    started = time.monotonic()
    for step in range(steps):
        scenes, pictures = batches.at(step)
        texts = [caption(scene, rng) for scene in scenes]
        now = Embedded(*_embed(model, pictures, tokenize(texts)), Facts.of(scenes, texts))
        loss = contrastive_loss(model.logit_scale.exp(), now, earlier)
        if step > MIXED_UNTIL * steps:
            earlier.append(now.detached())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % 50 == 0 or step == steps - 1:
            _report(step, loss.item(), now, started)
    save_weights(model, folder)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description="Train the sample world's tiny CLIP.")
    parser.add_argument("--out", type=Path, default=PACK / "clip")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(args.out, args.steps, args.seed)


if __name__ == "__main__":
    main()
