"""A pool of rendered scenes to train the CLIP with: families of scenes that are much alike."""

from __future__ import annotations

from io import BytesIO
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image

from sample.clip.clip_folder import PICTURE_SIZE
from sample.world.render import render
from sample.world.scenes import Scene, avoiding, family, natural_scene, random_scene
from sample.world.splits import held_out_meanings

FAMILY = 4
_COMPRESSED = 0.85
_QUALITIES = (70, 95)
_FARTHER = 0.4
_SCALES = (0.72, 1.0)

Pictures = npt.NDArray[np.uint8]


class Pool:
    """Families of scenes and their pictures, some of which are replaced at every step."""

    def __init__(
        self, families: int, *, natural_share: float, seed: int, first_picture: int
    ) -> None:
        self.families = families
        self.scenes: list[Scene] = []
        size = (families * FAMILY, PICTURE_SIZE, PICTURE_SIZE, 3)
        self.pictures: Pictures = np.empty(size, np.uint8)
        self._rng = Random(seed)
        self._natural_share = natural_share
        self._next_picture = first_picture
        self._oldest = 0
        self._held_out = held_out_meanings()
        self._natural = avoiding(natural_scene, self._held_out)
        self._any = avoiding(random_scene, self._held_out)
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
        draw = self._natural if self._rng.random() < self._natural_share else self._any
        while True:
            scenes = family(draw(self._rng), FAMILY, self._rng)
            if not any(scene.meaning in self._held_out for scene in scenes):
                return scenes

    def _render(self, at: int) -> None:
        for place in range(at * FAMILY, (at + 1) * FAMILY):
            self.pictures[place] = small_picture(self.scenes[place], self._next_picture)
            self._next_picture += 1


def compressed(picture: Image.Image, rng: Random) -> Image.Image:
    """The picture as it comes back from a WebP file of some quality; now and then as it was."""
    if rng.random() > _COMPRESSED:
        return picture
    file = BytesIO()
    picture.save(file, "WEBP", quality=rng.randint(*_QUALITIES), method=1)
    with Image.open(file) as again:
        return again.convert("RGB")


def farther(pixels: Pictures, scale: float, rng: Random) -> Pictures:
    """The picture (size, size, 3) smaller, somewhere, its edges drawn out to the frame."""
    side = round(PICTURE_SIZE * scale)
    left, top = rng.randint(0, PICTURE_SIZE - side), rng.randint(0, PICTURE_SIZE - side)
    smaller = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    right, bottom = PICTURE_SIZE - side - left, PICTURE_SIZE - side - top
    return np.pad(np.asarray(smaller), ((top, bottom), (left, right), (0, 0)), "edge")


def small_picture(scene: Scene, seed: int) -> Pictures:
    """The scene's picture as from a file, at the model's input size, (size, size, 3)."""
    side, rng = (PICTURE_SIZE, PICTURE_SIZE), Random(seed)
    picture = compressed(render(scene, seed), rng)
    pixels = np.asarray(picture.resize(side, Image.Resampling.BICUBIC))
    return farther(pixels, rng.uniform(*_SCALES), rng) if rng.random() < _FARTHER else pixels
