"""The places of the sample world: how captions speak of them, and how they are painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import ImageDraw

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """A background: how captions speak of it, and how it is drawn."""

    name: str
    phrases: tuple[str, ...]
    paint: Callable[[ImageDraw.ImageDraw, Random, int], None]


def _shade(rng: Random, colour: Colour, spread: int = 14) -> Colour:
    """The colour, a little lighter or darker and a little off in hue."""
    light = rng.randint(-spread, spread)
    return tuple(max(0, min(255, c + light + rng.randint(-5, 5))) for c in colour)  # type: ignore[return-value]


def _gradient(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], top: Colour, bottom: Colour
) -> None:
    left, y0, right, y1 = box
    for y in range(y0, y1):
        t = (y - y0) / max(1, y1 - y0 - 1)
        draw.line(
            (left, y, right, y),
            fill=tuple(round(a + (b - a) * t) for a, b in zip(top, bottom, strict=True)),
        )


def _paint_beach(draw: ImageDraw.ImageDraw, rng: Random, size: int) -> None:
    sky, shore = round(size * rng.uniform(0.22, 0.34)), round(size * rng.uniform(0.42, 0.55))
    _gradient(draw, (0, 0, size, sky), _shade(rng, (120, 195, 240)), (205, 235, 250))
    _gradient(draw, (0, sky, size, shore), _shade(rng, (30, 130, 190)), (95, 195, 215))
    _gradient(draw, (0, shore, size, size), _shade(rng, (240, 220, 165)), (225, 195, 130))
    for _ in range(4):
        x, y = rng.randrange(size), rng.randint(sky + 4, shore - 4)
        draw.line((x - 14, y, x + 14, y), fill=(235, 248, 250), width=2)
    draw.line((0, shore, size, shore), fill=(250, 250, 245), width=3)


def _paint_meadow(draw: ImageDraw.ImageDraw, rng: Random, size: int) -> None:
    horizon = round(size * rng.uniform(0.22, 0.42))
    _gradient(draw, (0, 0, size, horizon), _shade(rng, (135, 200, 245)), (220, 240, 250))
    _gradient(draw, (0, horizon, size, size), _shade(rng, (120, 190, 85)), (70, 145, 50))
    for _ in range(45):
        x, y = rng.randrange(size), rng.randint(horizon + 4, size)
        draw.line((x, y, x + rng.randint(-3, 3), y - 7), fill=_shade(rng, (60, 130, 45)), width=2)


def _paint_night(draw: ImageDraw.ImageDraw, rng: Random, size: int) -> None:
    _gradient(draw, (0, 0, size, size), _shade(rng, (12, 16, 48), 8), (44, 44, 98))
    for _ in range(40):
        x, y, r = rng.randrange(size), rng.randrange(size), rng.choice((1, 1, 2))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_shade(rng, (240, 238, 205)))


def _paint_snow(draw: ImageDraw.ImageDraw, rng: Random, size: int) -> None:
    horizon = round(size * rng.uniform(0.25, 0.45))
    _gradient(draw, (0, 0, size, horizon), _shade(rng, (165, 182, 205)), (208, 218, 230))
    _gradient(draw, (0, horizon, size, size), (248, 250, 254), _shade(rng, (218, 230, 244), 6))
    for _ in range(45):
        x, y, r = rng.randrange(size), rng.randrange(size), rng.choice((1, 2, 2))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))


def _paint_street(draw: ImageDraw.ImageDraw, rng: Random, size: int) -> None:
    kerb = round(size * rng.uniform(0.38, 0.52))
    _gradient(draw, (0, 0, size, kerb), _shade(rng, (185, 205, 220)), (215, 215, 215))
    x = -rng.randrange(30)
    while x < size:
        width, top = rng.randint(28, 52), round(kerb * rng.uniform(0.05, 0.5))
        draw.rectangle(
            (x, top, x + width, kerb),
            fill=_shade(rng, rng.choice(((150, 130, 120), (125, 125, 140), (165, 150, 130)))),
        )
        for wy in range(top + 7, kerb - 10, 16):
            for wx in range(x + 6, x + width - 8, 13):
                draw.rectangle((wx, wy, wx + 6, wy + 8), fill=(225, 220, 180))
        x += width + 3
    draw.rectangle((0, kerb, size, kerb + 10), fill=_shade(rng, (190, 188, 182)))
    draw.rectangle((0, kerb + 11, size, size), fill=_shade(rng, (92, 94, 100)))
    lane = round((kerb + size) / 2 + rng.randint(-8, 20))
    for x in range(-rng.randrange(30), size, 44):
        draw.rectangle((x, lane, x + 24, lane + 5), fill=(238, 236, 225))


def _paint_room(draw: ImageDraw.ImageDraw, rng: Random, size: int) -> None:
    floor = round(size * rng.uniform(0.55, 0.7))
    wall = _shade(rng, rng.choice(((238, 214, 190), (226, 205, 214), (232, 222, 180))))
    draw.rectangle((0, 0, size, floor), fill=wall)
    x, y = rng.randint(12, size - 80), rng.randint(10, 28)
    draw.rectangle((x, y, x + 64, y + 56), fill=(150, 110, 75))
    draw.rectangle((x + 5, y + 5, x + 59, y + 51), fill=_shade(rng, (178, 218, 240)))
    draw.line((x + 32, y + 5, x + 32, y + 51), fill=(150, 110, 75), width=4)
    draw.rectangle((0, floor, size, size), fill=_shade(rng, (172, 120, 76)))
    for y in range(floor, size, 15):
        draw.line((0, y, size, y), fill=(138, 92, 56), width=2)
    draw.rectangle((0, floor - 5, size, floor), fill=(246, 240, 230))


PLACES = (
    Place(
        "beach", ("on the beach", "on a sandy beach", "by the sea", "at the seaside"), _paint_beach
    ),
    Place(
        "meadow", ("on the grass", "in a green field", "in a meadow", "on a lawn"), _paint_meadow
    ),
    Place(
        "night", ("at night", "under the night sky", "under the stars", "in the dark"), _paint_night
    ),
    Place(
        "snow",
        ("in the snow", "on a snowy field", "on snowy ground", "on snow-covered ground"),
        _paint_snow,
    ),
    Place(
        "street", ("on the street", "on a city street", "on the road", "in the city"), _paint_street
    ),
    Place("room", ("in a room", "in a living room", "on a wooden floor", "indoors"), _paint_room),
)
