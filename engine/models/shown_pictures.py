"""How fine a vision-language model is shown pictures: as fine as its tokens and its time allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL.Image import Image, Resampling

_SIDES = (1024, 768, 512, 384, 256)
"""Longest sides in pixels. Where tokens follow the size, the largest is about 1,000 of them."""

_LEAST_SIDE = 28
"""The square that Qwen-VL makes a token of; a picture of one pixel or one line is drawn out."""

_IN_TILES = ("do_image_splitting", "crop_to_patches", "do_pan_and_scan")
"""What image processors call the option to look at a picture in tiles, beside all of it."""


@dataclass(frozen=True)
class Fineness:
    """A longest side, and whether the processor's options to look in tiles are turned off."""

    side: int
    whole: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, bool]:
        """What the image processor is told."""
        return dict.fromkeys(self.whole, False)


def finenesses(image_processor: Any) -> Iterator[Fineness]:
    """From the finest to the coarsest: in tiles where the processor has some, then at once."""
    tiled = tuple(name for name in _IN_TILES if getattr(image_processor, name, False))
    if tiled:
        yield Fineness(_SIDES[0])
    for side in _SIDES:
        yield Fineness(side, tiled)


def shrunk(image: Image, side: int) -> Image:
    """The picture in RGB, its longest side that at most; nothing is as thin as a line."""
    scale = min(1.0, side / max(image.size))
    size = tuple(max(_LEAST_SIDE, round(length * scale)) for length in image.size)
    flat = image.convert("RGB")
    return flat if flat.size == size else flat.resize((size[0], size[1]), Resampling.BICUBIC)
