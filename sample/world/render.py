"""Pictures of scenes, drawn with Pillow from Noto Color Emoji, and the looks they may be given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from sample.world.scenes import LEFT_OF, Group, Scene
from sample.world.things import Thing

EMOJI_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
IMAGE_SIZE = 224
_GLYPH_SIZE = 109  # the only size at which Noto Color Emoji's bitmaps can be drawn
_MARGIN = 0.03
_ENOUGH_GAP = -0.04

# side of one copy as a share of the picture: for a lone thing, for copies, for one of two groups
_LONE_SIDE = {"": (0.34, 0.46), "big": (0.62, 0.74), "small": (0.19, 0.24)}
_SIDE_BY_COUNT = {2: (0.28, 0.40), 3: (0.25, 0.34)}
_SHARED_SIDE = {1: (0.30, 0.42), 2: (0.24, 0.31), 3: (0.21, 0.26)}

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Look = Callable[[Image.Image], Image.Image]


@cache
def _glyph(emoji: str) -> Image.Image:
    font = ImageFont.truetype(str(EMOJI_FONT), _GLYPH_SIZE)
    glyph = Image.new("RGBA", (136, 128))
    ImageDraw.Draw(glyph).text((0, 0), emoji, font=font, embedded_color=True)
    return glyph.crop(glyph.getbbox())


def _centres(rng: Random, box: Box, sides: Sequence[float]) -> list[Point]:
    x0, y0, x1, y1 = box
    return [
        (rng.uniform(x0 + side / 2, x1 - side / 2), rng.uniform(y0 + side / 2, y1 - side / 2))
        for side in sides
    ]


def _smallest_gap(centres: Sequence[Point], sides: Sequence[float]) -> float:
    gaps = [
        max(abs(ax - bx), abs(ay - by)) - (sides[i] + sides[j]) / 2
        for i, (ax, ay) in enumerate(centres)
        for j, (bx, by) in enumerate(centres[:i])
    ]
    return min(gaps, default=0.0)


def _scatter(rng: Random, box: Box, sides: Sequence[float]) -> list[Point]:
    """Centres for squares of these sides inside the box, hardly overlapping."""
    best: list[Point] = []
    best_gap = float("-inf")
    for _ in range(60):
        centres = _centres(rng, box, sides)
        gap = _smallest_gap(centres, sides)
        if gap > best_gap:
            best, best_gap = centres, gap
        if best_gap >= _ENOUGH_GAP:
            break
    return best


def _stamp(canvas: Image.Image, rng: Random, thing: Thing, centre: Point, side: float) -> None:
    glyph = _glyph(thing.emoji)
    scale = side * canvas.width / max(glyph.size)
    width, height = (max(1, round(length * scale)) for length in glyph.size)
    glyph = glyph.resize((width, height), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        glyph = glyph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    glyph = glyph.rotate(rng.uniform(-18, 18), Image.Resampling.BICUBIC, expand=True)
    colour = ImageEnhance.Brightness(glyph.convert("RGB")).enhance(rng.uniform(0.88, 1.12))
    x, y = (value * canvas.width for value in centre)
    corner = (round(x - glyph.width / 2), round(y - glyph.height / 2))
    canvas.paste(colour, corner, glyph.getchannel("A"))


def _layout(scene: Scene) -> list[tuple[Group, Box, tuple[float, float]]]:
    """Each group with its part of the picture and the range of its copies' sides."""
    near, far = _MARGIN, 1 - _MARGIN
    if len(scene.groups) == 1:
        group = scene.groups[0]
        sides = _LONE_SIDE[group.size] if group.count == 1 else _SIDE_BY_COUNT[group.count]
        return [(group, (near, near, far, far), sides)]
    if scene.relation == LEFT_OF:
        boxes = [(near, near, 0.5, far), (0.5, near, far, far)]
    else:
        boxes = [(near, near, far, 0.5), (near, 0.5, far, far)]
    return [
        (group, box, _SHARED_SIDE[group.count])
        for group, box in zip(scene.groups, boxes, strict=True)
    ]


def render(scene: Scene, seed: int, size: int = IMAGE_SIZE) -> Image.Image:
    """Draw the scene; placement, scale, tilt and colours follow from the seed."""
    rng = Random(seed)
    canvas = Image.new("RGB", (size, size))
    scene.place.paint(ImageDraw.Draw(canvas), rng, size)
    for group, box, (low, high) in _layout(scene):
        sides = [rng.uniform(low, high) for _ in range(group.count)]
        for centre, side in zip(_scatter(rng, box, sides), sides, strict=True):
            _stamp(canvas, rng, group.thing, centre, side)
    return canvas


def postcard(picture: Image.Image) -> Image.Image:
    """The picture smaller, on white card: a look that the CLIP never saw in training."""
    return ImageOps.expand(picture.resize((176, 176)), 24, "white")


def blurred(picture: Image.Image) -> Image.Image:
    """The picture out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(3))


def faded(picture: Image.Image) -> Image.Image:
    """A bleached, warm-tinted old print."""
    tint = Image.new("RGB", picture.size, (236, 205, 160))
    return Image.blend(ImageEnhance.Color(picture).enhance(0.5), tint, 0.4)


def grey(picture: Image.Image) -> Image.Image:
    """The picture without its colours."""
    return ImageOps.grayscale(picture).convert("RGB")


LOOKS: dict[str, Look] = {
    "postcard": postcard,
    "blurred": blurred,
    "faded": faded,
    "grey": grey,
}
