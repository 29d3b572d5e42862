"""Small versions of pictures: right, kept, bounded, and never a reason to fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from engine.limits import Limits
from engine.search.thumbnails import Thumbnails

Make = Callable[..., Thumbnails]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Thumbnails] = []

    def thumbnails(max_bytes: int = 10**6, max_pixels: int = 10**6) -> Thumbnails:
        limits = Limits(max_pixels=max_pixels)
        one = Thumbnails(tmp_path / "kept", limits, max_bytes=max_bytes, workers=2)
        made.append(one)
        return one

    yield thumbnails
    for one in made:
        one.close()


def picture(path: Path, colour: str = "red", size: tuple[int, int] = (300, 100)) -> str:
    Image.new("RGB", size, colour).save(path)
    return str(path)


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("RGB")


def near(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 12 for a, b in zip(pixel, colour, strict=True))


def test_they_are_small_in_order_and_never_larger_than_the_picture(
    make: Make, tmp_path: Path
) -> None:
    uris = [picture(tmp_path / "red.png"), picture(tmp_path / "blue.png", "blue", (20, 40))]
    red, blue = map(opened, make().get(uris, 60))
    assert red.size == (60, 20)
    assert near(red, (255, 0, 0))
    assert blue.size == (20, 40)
    assert near(blue, (0, 0, 255))


def test_they_are_kept_and_follow_a_change_of_the_file(make: Make, tmp_path: Path) -> None:
    uri = picture(tmp_path / "a.png")
    (first,) = make().get([uri], 60)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"what was kept")
    assert make().get([uri], 60) == [b"what was kept"]
    picture(tmp_path / "a.png", "blue", (301, 100))
    (changed,) = make().get([uri], 60)
    assert near(opened(changed), (0, 0, 255))
    assert near(opened(first), (255, 0, 0))


@pytest.mark.parametrize("name", ["absent.png", "damaged.png", "large.png", "nul\0.png", ""])
def test_what_cannot_be_read_is_grey(make: Make, tmp_path: Path, name: str) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    picture(tmp_path / "large.png", size=(50, 50))
    uri = str(tmp_path / name) if name else ""
    (grey,) = make(max_pixels=1000).get([uri], 40)
    assert opened(grey).size == (40, 40)
    assert near(opened(grey), (136, 136, 136))


def test_those_used_longest_ago_go_first(make: Make, tmp_path: Path) -> None:
    thumbnails = make(max_bytes=2_000)
    kept = tmp_path / "kept"
    kept.mkdir()
    for age in range(3):
        (kept / f"{age}.webp").write_bytes(b"x" * 900)
        os.utime(kept / f"{age}.webp", (10**9 - age, 10**9 - age))
    uri = picture(tmp_path / "a.png")
    for side in range(10, 10 + 256):
        thumbnails.get([uri], side)
    names = {path.name for path in kept.iterdir()}
    assert sum((kept / name).stat().st_size for name in names) <= 2_000
    assert not names & {"0.webp", "1.webp", "2.webp"}


def test_a_folder_that_cannot_be_written_costs_nothing_but_speed(
    make: Make, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    uri = picture(tmp_path / "a.png")
    assert near(opened(make().get([uri], 60)[0]), (255, 0, 0))


def test_what_cannot_be_kept_leaves_nothing_behind(make: Make, tmp_path: Path) -> None:
    uri = picture(tmp_path / "a.png")
    make().get([uri], 60)
    (taken,) = (tmp_path / "kept").iterdir()
    taken.unlink()
    taken.mkdir()
    assert near(opened(make().get([uri], 60)[0]), (255, 0, 0))
    assert list((tmp_path / "kept").iterdir()) == [taken]
