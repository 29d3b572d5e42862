"""Descriptions that leave the program, by a run that is killed."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Iterator
from io import BytesIO, StringIO
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from mrag_client.answers import GivenPicture
from mrag_client.models import CaptionOptions, Description, Failure
from service.takeaway import outputs, packet, tables
from service.takeaway.containers import opened
from service.takeaway.describing import Takeaway
from service.takeaway.embedding import InFiles
from service.takeaway.outputs import Output
from service.takeaway.packet import Mode, merged
from service.takeaway.sidecars import TextSidecars, XmpSidecars
from service.takeaway.tables import TableFile
from tests.kills.harness import Scenario
from tests.service.takeaway.conftest import FakeAnswers, description

_PICTURES = 12
_TABLES: dict[str, Mode] = {
    "skip.jsonl": "skip",
    "skip.csv": "skip",
    "skip.parquet": "skip",
    "new.jsonl": "overwrite",
}
_PERSONS = "what a person wrote"


class SlowAnswers(FakeAnswers):
    """Takes its time, so that a kill can come anywhere."""

    def caption(
        self, images: Iterable[GivenPicture], options: CaptionOptions, *, collection: str = ""
    ) -> Iterator[Description | Failure]:
        for answer in super().caption(images, options, collection=collection):
            time.sleep(0.01)
            yield answer


def photos(home: Path) -> list[Path]:
    return [home / "photos" / f"{number}.jpg" for number in range(_PICTURES)]


def prepare(home: Path) -> None:
    for number, path in enumerate(photos(home)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 9, 40, 90)).save(path)
    # One has a sidecar that a person has written into, of which the rest is to be kept.
    persons = merged(b"", description(_PERSONS), "skip").replace(b"mrag:", b"other:")
    Path(f"{photos(home)[3]}.xmp").write_bytes(persons.replace(b"xmlns:mrag", b"xmlns:other"))
    (home / "new.jsonl").write_text('{"image": "an earlier one"}\n')


def work(home: Path) -> None:
    outputs._STALE_S = 0.0  # whoever wrote before is dead
    tables._SYNC_EVERY_S = 0.0
    into: list[Output] = [
        XmpSidecars("skip"),
        TextSidecars("skip"),
        InFiles("skip"),
        *(TableFile(home / name, mode) for name, mode in _TABLES.items()),
    ]
    takeaway = Takeaway(SlowAnswers(), into, tell=print)
    takeaway.run(photos(home))
    for output in into:
        output.close(done=True)
    assert takeaway.counts.failed == 0


def nothing_is_half(home: Path, begun: Path) -> None:
    """Every file that is there is whole, and what a person wrote is as it was."""
    for path, before in zip(photos(home), photos(begun), strict=True):
        data = path.read_bytes()
        assert Image.open(BytesIO(data)).tobytes() == Image.open(before).tobytes()
        packet.read(opened(data).xmp)
        original = Path(f"{path}_original")
        assert data == before.read_bytes() or original.read_bytes() == before.read_bytes()
        text = path.with_suffix(".txt")
        assert not text.exists() or text.read_text() == f"A picture called {path.name}.\n"
        sidecar = Path(f"{path}.xmp")
        if sidecar.exists():
            packet.read(sidecar.read_bytes())
    persons = f"{photos(home)[3]}.xmp", f"{photos(begun)[3]}.xmp"
    assert Path(persons[0]).read_bytes() == Path(persons[1]).read_bytes()
    for name in ("skip.jsonl", "new.jsonl"):
        if (home / name).exists():
            *lines, _ = (home / name).read_text().split("\n")
            assert all("image" in json.loads(line) for line in lines)
    if (home / "skip.parquet").exists():
        assert pq.read_table(home / "skip.parquet").num_rows == _PICTURES


def same_takeaway(home: Path, undisturbed: Path) -> None:
    """The same files, which say the same of the same pictures."""
    for before, path in zip(photos(undisturbed), photos(home), strict=True):
        assert Path(f"{path}_original").read_bytes() == Path(f"{before}_original").read_bytes()
        assert Image.open(path).tobytes() == Image.open(before).tobytes()
    for place in ("", "photos"):
        found = {path.name for path in (home / place).iterdir()}
        assert found ^ {path.name for path in (undisturbed / place).iterdir()} == set()
    names = [f"photos/{path.name}" for path in photos(home)]
    for name in ("skip.jsonl", "new.jsonl"):
        rows = map(json.loads, (home / name).read_text().splitlines())
        assert [row["image"] for row in rows] == names
    text = (home / "skip.csv").read_bytes().decode("utf-8-sig")
    assert [row["image"] for row in csv.DictReader(StringIO(text, newline=""))] == names
    assert pq.read_table(home / "skip.parquet").column("image").to_pylist() == names


TAKEAWAY = Scenario("takeaway", prepare, work, nothing_is_half, same_takeaway)
