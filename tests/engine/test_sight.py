"""Pictures that were saved anew look the same, others do not; compared as one by one would be."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image, ImageEnhance

from engine.search.sight import LIMIT, LOW_LIMIT, Known, as_words, sight_of

PICTURES = Path(__file__).parents[2] / "sample" / "pack" / "plain" / "images"
Change = Callable[[Image.Image], Image.Image]


def picture(number: int) -> Image.Image:
    return Image.open(PICTURES / f"{number:03}.webp").convert("RGB").resize((256, 192))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    written = BytesIO()
    image.save(written, "JPEG", quality=quality)
    return Image.open(written).convert("RGB")


def found(image: Image.Image, among: list[Image.Image]) -> int:
    known = Known(as_words([sight_of(one) for one in among]))
    return int(known.nearest(as_words([sight_of(image)]))[0])


CHANGES: dict[str, Change] = {
    "saved badly": lambda image: jpeg(image, 30),
    "scaled down": lambda image: image.resize((96, 72)),
    "stretched a little": lambda image: image.resize((300, 210)),
    "cropped a little": lambda image: image.crop((5, 4, 251, 188)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "all of it": lambda image: jpeg(
        image.transpose(Image.Transpose.TRANSVERSE).resize((100, 120)), 60
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_picture_is_known_again(change: Change) -> None:
    among = [picture(number) for number in range(12)]
    for number in (1, 5):
        assert found(change(among[number]), among) == number


def test_other_pictures_are_no_copies() -> None:
    among = [picture(number) for number in range(12)]
    assert all(found(picture(number), among) == -1 for number in range(12, 40))


@pytest.mark.parametrize("colour", ["white", "black", (90, 130, 170)])
def test_a_picture_of_one_colour_shows_nothing_to_compare(colour: str) -> None:
    assert sight_of(Image.new("RGB", (300, 200), colour)) == b""
    assert sight_of(Image.new("RGB", (1, 1), colour)) == b""


@given(some.integers(0, 2**32 - 1), some.integers(0, 90))
def test_pictures_are_compared_as_one_by_one(seed: int, flipped: int) -> None:
    """Whatever is added, the nearest of those within the limits is found."""
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, 2**63, (7, 8, 4), dtype=np.uint64)
    known = Known(rows[:3])
    for row in rows[3:]:
        known.add(row)
    sought = rows[draw.integers(7)].copy()
    for bit in draw.integers(0, 256, flipped):
        sought[0, bit // 64] ^= np.uint64(1 << int(bit) % 64)
    within = [
        (int(np.bitwise_count(sought[0] ^ laid).sum()), number)
        for number, row in enumerate(rows)
        for laid in row
        if np.bitwise_count(sought[0, 0] ^ laid[0]) <= LOW_LIMIT
    ]
    nearest = min((one for one in within if one[0] <= LIMIT), default=(0, -1))[1]
    assert known.nearest(sought[None]).tolist() == [nearest]
    assert len(known) == 7
