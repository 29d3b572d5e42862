"""Descriptions as files: what programs and spreadsheets read of them."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.records import ImageRecord
from ingest.readers import open_source
from mrag_client.models import Candidate, Description, RetrievedCaption
from service.exports import as_csv, as_jsonl, as_sidecars, as_xmp
from service.takeaway import packet


def described(image: str, caption: str) -> Description:
    return Description(
        image=image,
        caption=caption,
        candidates=(
            Candidate(text="something else", score=0.9),
            Candidate(text=caption, score=0.5),
        ),
        retrieved=(RetrievedCaption(text="a cat", score=0.75, image_id="i1"),),
        space="mapped",
        timings_ms={"encode": 1.5},
    )


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(StringIO(data.decode("utf-8-sig"), newline="")))


def test_jsonl_has_the_keys_of_the_command_line() -> None:
    data = as_jsonl([described("a.jpg", "Ein Hündchen\nund mehr")])
    (line,) = data.decode().splitlines()
    answer = json.loads(line)
    assert answer["image"] == "a.jpg"
    assert answer["caption"] == "Ein Hündchen\nund mehr"
    assert answer["candidates"][0] == {"text": "something else", "score": 0.9}
    assert answer["retrieved"] == [{"text": "a cat", "score": 0.75, "image_id": "i1"}]
    assert answer["space"] == "mapped"
    keys = ["image", "caption", "candidates", "retrieved", "space", "timings_ms", "made_with"]
    assert list(answer) == [*keys, "trace", "reranked"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1", "|calc"])
def test_a_spreadsheet_runs_nothing(cell: str) -> None:
    _, row = table(as_csv([described(cell, cell)]))
    assert row == [f"'{cell}", f"'{cell}", "0.5000"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_table_holds_any_text(text: str) -> None:
    heading, row = table(as_csv([described("a.jpg", text)]))
    assert heading == ["image", "caption", "score"]
    assert row[1].removeprefix("'") == text.removeprefix("'")


@given(st.lists(st.text(max_size=30), max_size=5))
@example(["\N{SMILING FACE WITH SUNGLASSES}" * 100 + ".jpg"])
@example(["../../a.jpg", "C:\\a.jpg", "..", "", "A.JPG", "a.jpg"])
def test_sidecars_stay_in_their_folder_and_do_not_replace_each_other(names: list[str]) -> None:
    data = as_sidecars(described(name, "a cat") for name in names)
    with ZipFile(BytesIO(data)) as archive:
        packed = archive.namelist()
    assert len({name.casefold() for name in packed}) == len(names)
    for name in packed:
        assert Path(name).name == name
        assert "\\" not in name
        assert len(name.encode()) <= 255


def test_sidecars_are_read_when_the_folder_is_ingested(tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo.png"):
        (tmp_path / name).write_bytes(b"a picture")
    described_as = {"photo.jpg": "A cat.", "photo.png": "=A dog."}
    data = as_sidecars(described(name, text) for name, text in described_as.items())
    with ZipFile(BytesIO(data)) as archive:
        archive.extractall(tmp_path)
    records = [one for one in open_source(tmp_path) if isinstance(one, ImageRecord)]
    assert {one.path.name: one.captions for one in records} == {
        "photo.jpg": ("A cat.",),
        "photo.png": ("=A dog.",),
    }


def test_xmp_sidecars_say_what_was_written() -> None:
    data = as_xmp(
        [described("a.jpg", "a cat"), described("a.jpg", "a dog"), described("b", "\x01")]
    )
    with ZipFile(BytesIO(data)) as archive:
        assert archive.namelist() == ["a.jpg.xmp", "a.jpg (2).xmp"]
        assert set(packet.read(archive.read("a.jpg.xmp")).authors.values()) == {"mrag"}
        assert b">a dog<" in archive.read("a.jpg (2).xmp")
