"""Descriptions that need no model, and who gives them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.errors import InvalidInput
from mrag_client.answers import GivenPicture, NamedPicture
from mrag_client.models import (
    Candidate,
    CaptionOptions,
    Description,
    Failure,
    MadeWith,
    RetrievedCaption,
)

MADE = MadeWith(generator="t5", map="ridge 1", memory="coco", captions=7)


def description(
    caption: str = "A cat on a mat.", image: str = "photo.jpg", made_with: MadeWith = MADE
) -> Description:
    return Description(
        image=image,
        caption=caption,
        candidates=(Candidate(text=caption, score=0.5),),
        retrieved=(RetrievedCaption(text="a cat lies there", score=0.75, image_id="i1"),),
        space="mapped",
        timings_ms={},
        made_with=made_with,
    )


class FakeAnswers:
    """Describes each picture by its name; one called bad cannot be read, one called odd raises."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made_with = MADE
        self.says = "A picture called {name}."
        self.stops_at = ""

    def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> Iterator[Description | Failure]:
        del options, collection
        for one in images:
            assert isinstance(one, NamedPicture)
            name = Path(one.name).name
            self.asked.append(name)
            if name == self.stops_at:
                raise KeyboardInterrupt
            if "odd" in name:
                raise InvalidInput("no caption fits the prompt")
            if "bad" in name:
                yield Failure(image=one.name, error="cannot be decoded", unreadable=True)
            else:
                yield description(self.says.format(name=name), one.name, self.made_with)


@pytest.fixture
def answers() -> Any:
    return FakeAnswers()


@pytest.fixture
def told() -> Callable[..., Description]:
    return description


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., list[Path]]:
    """Makes pictures of these names in a folder."""

    def make(*names: str) -> list[Path]:
        paths = [tmp_path / "photos" / name for name in names]
        for number, path in enumerate(paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 4), (number, 50, 100)).save(path)
        return paths

    return make


Exiftool = Callable[..., str]


@pytest.fixture
def exiftool() -> Exiftool:
    """Runs exiftool and gives what it says."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (libimage-exiftool-perl)")

    def run(*args: str | Path) -> str:
        done = subprocess.run(
            ["exiftool", *map(str, args)], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
