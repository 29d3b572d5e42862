"""Good pictures of every make among bad files of every kind: exactly the good come in."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import typer
from PIL import Image

from cli.reports import exit_if_skipped
from corpus.ledger import Ledger
from engine.collection import CollectionFolder
from engine.settings import Settings
from ingest.pipeline import IngestReport, ingest
from ingest.readers import open_source
from tests.worlds import PixelEncoder

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs pipes, devices, odd names"),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
]

Make = Callable[[Path, int], None]


def noise(seed: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(seed: int, file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = BytesIO()
    noise(seed, mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif.tobytes()


def sixteen_bits(seed: int) -> bytes:
    values = np.random.default_rng(seed).integers(0, 65536, (8, 8), dtype=np.uint16)
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def frames(seed: int) -> dict[str, Any]:
    return {"save_all": True, "append_images": [noise(seed + 1), noise(seed + 2)]}


GOOD: dict[str, Callable[[int], bytes]] = {
    "plain.jpg": lambda n: encoded(n, "JPEG"),
    "PLAIN.PNG": lambda n: encoded(n, "PNG"),
    "plain.webp": lambda n: encoded(n, "WEBP"),
    "plain.tiff": lambda n: encoded(n, "TIFF"),
    "plain.bmp": lambda n: encoded(n, "BMP"),
    "plain.heic": lambda n: encoded(n, "HEIF"),
    "moving.gif": lambda n: encoded(n, "GIF", **frames(n)),
    "moving.png": lambda n: encoded(n, "PNG", **frames(n)),
    "cmyk.jpg": lambda n: encoded(n, "JPEG", "CMYK"),
    "sixteen.png": sixteen_bits,
    "turned.jpg": lambda n: encoded(n, "JPEG", exif=turned(6)),
    "bad exif.jpg": lambda n: encoded(n, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffjunk"),
    "a png in truth.jpg": lambda n: encoded(n, "PNG"),
    "new\nline.jpg": lambda n: encoded(n, "JPEG"),
    "no unicode \udce9.jpg": lambda n: encoded(n, "JPEG"),
    "decomposed e\u0301.jpg": lambda n: encoded(n, "JPEG"),
    "right to left \u202egpj.jpg": lambda n: encoded(n, "JPEG"),
    "long " + "x" * 230 + ".jpg": lambda n: encoded(n, "JPEG"),
    "folder.jpg/inside.jpg": lambda n: encoded(n, "JPEG"),
    "'quoted' \"; rm -rf $HOME.jpg": lambda n: encoded(n, "JPEG"),
}


def writing(content: Callable[[int], bytes]) -> Make:
    def write(path: Path, seed: int) -> None:
        path.write_bytes(content(seed))

    return write


def linking(target: str) -> Make:
    return lambda path, _: path.symlink_to(target or path.name)


def huge(seed: int) -> bytes:
    header = struct.pack(">IIBBBBB", 200_000 + seed, 200_000, 8, 2, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + b"IHDR" + header + check


def zipped(seed: int) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("photo.jpg", encoded(seed, "JPEG"))
    return buffer.getvalue()


def bind(path: Path, _: int) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(path.parent, os.O_RDONLY)  # the address of a socket is short
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


BAD: dict[str, Make] = {
    "cut.jpg": writing(lambda n: encoded(n, "JPEG")[:200]),
    "cut.png": writing(lambda n: encoded(n, "PNG")[:80]),
    "cut.heic": writing(lambda n: encoded(n, "HEIF")[:300]),
    "empty.png": writing(lambda _: b""),
    "text.jpg": writing(lambda _: b"dear diary"),
    "page.gif": writing(lambda _: b"<!doctype html><title>404</title>"),
    "drawing.png": writing(lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "archive.jpg": writing(zipped),
    "paper.tif": writing(lambda _: b"%PDF-1.7\n"),
    "random.webp": writing(lambda n: np.random.default_rng(n).bytes(500)),
    "huge.png": writing(huge),
    "pipe.jpg": lambda path, _: os.mkfifo(path),
    "socket.jpg": bind,
    "zero.png": linking("/dev/zero"),
    "random device.png": linking("/dev/random"),
    "terminal.jpg": linking("/dev/tty"),
    "to nothing.jpg": linking("is not there"),
    "to itself.jpg": linking(""),
    "new\nline bad.jpg": writing(lambda _: b"x"),
    "no unicode \udcff.jpg": writing(lambda _: b"x"),
}
SIDECARS: dict[str, Make] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "device": linking("/dev/zero"),
    "utf-32 without its mark": writing(lambda _: "a cat".encode("utf-32-le")),
    "bytes": writing(lambda _: b"caf\xe9"),
    "large": writing(lambda _: b"x" * (2**20 + 1)),
}


def folders(root: Path, count: int) -> list[Path]:
    made = [root / f"{n:03}" for n in range(count)]
    for folder in made:
        folder.mkdir(parents=True)
    return made


def fill(root: Path, good: int, bad: int, sidecars: int) -> tuple[int, Counter[str]]:
    """Make the folder; returns how many pictures are good, and how often each bad name is there."""
    places = folders(root, -(-max(good, bad) // len(BAD)))
    for seed, (name, make) in enumerate(islice(cycle(GOOD.items()), good)):
        path = places[seed // len(GOOD)] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make(10 * seed))
        if seed % 3 == 0:
            with suppress(OSError):  # a name to which nothing can be added
                path.with_name(f"{path.name}.txt").write_text(f"number {seed}", "utf-32")
    named: Counter[str] = Counter()
    for seed, (name, spoil) in enumerate(islice(cycle(BAD.items()), bad - sidecars)):
        path = places[seed // len(BAD)] / name
        spoil(path, seed)
        named[printable(path)] += 1
    for seed, (name, spoil) in enumerate(islice(cycle(SIDECARS.items()), sidecars)):
        path = places[seed // len(SIDECARS)] / f"words in {name}.jpg"
        path.write_bytes(encoded(10**6 + 10 * seed, "JPEG"))
        spoil(path.with_suffix(".txt"), seed)
        named[printable(path.with_suffix(".txt"))] += 1
    return good + sidecars, named


def printable(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()


def take(root: Path, settings: Settings) -> IngestReport:
    return ingest(
        open_source(root),
        name="hostile",
        encoder=PixelEncoder(),
        encoder_spec="spec",
        generator_spec="consensus",
        settings=settings,
    )


def check(root: Path, settings: Settings, good: int, bad: int, sidecars: int) -> None:
    pictures, named = fill(root, good, bad, sidecars)
    folder = CollectionFolder(settings.home, "hostile")
    for again in (False, True):
        report = take(root, settings)
        lines = [json.loads(line) for line in folder.skipped.read_text("utf-8").splitlines()]
        assert Counter(line["uri"] for line in lines) == named
        assert all(line["reason"] for line in lines)
        assert report.pictures == pictures
        assert report.embed.embedded == (0 if again else pictures)
        assert report.embed.unchanged == (pictures if again else 0)
        with pytest.raises(typer.Exit) as ended:
            exit_if_skipped(report.embed, folder)
        assert ended.value.exit_code == 1
        with Ledger.open(folder) as ledger:
            assert ledger.pictures() == pictures


def test_exactly_the_good_pictures_come_in(tmp_path: Path, settings: Settings) -> None:
    check(tmp_path / "hostile", settings, good=40, bad=45, sidecars=5)


@pytest.mark.slow
def test_exactly_the_good_of_two_thousand_come_in(tmp_path: Path, settings: Settings) -> None:
    check(tmp_path / "hostile", settings, good=2_000, bad=277, sidecars=17)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read_is_named(tmp_path: Path, settings: Settings) -> None:
    root = tmp_path / "hostile"
    root.mkdir()
    for n in range(2):
        (root / f"{n}.jpg").write_bytes(encoded(n, "JPEG"))
    (root / "1.jpg").chmod(0)
    report = take(root, settings)
    assert (report.pictures, report.embed.skipped) == (1, {"unreadable": 1})
    assert "may not be read" in report.embed.examples[0].reason
