"""Small films for tests, of whose scenes and times the truth is known."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

from benchmarks.films import Film, Part, write_film
from engine.settings import SAMPLE_PACK

SMALL = Film(size=(160, 120), fps=10)


def scene(number: int) -> Image.Image:
    """A picture of the sample collection."""
    return Image.open(SAMPLE_PACK / "plain" / "images" / f"{number:03}.webp").convert("RGB")


def film(path: Path, *scenes: int, seconds: float = 2.0, how: Film = SMALL) -> list[float]:
    """A film of some scenes with hard cuts; gives the moments at which they begin."""
    return write_film(path, [Part(scene(one), seconds) for one in scenes], how)


def sound_alone(path: Path) -> None:
    """A file that has a video's name and holds sound alone."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        for _ in range(8):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate = 8000
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
