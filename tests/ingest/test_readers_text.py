"""Text and file names as they come: quotes between tabs, accents in two spellings, halves."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from corpus.records import CaptionRecord, ImageRecord, Record, Skipped, unwritable
from ingest.readers import open_captions, open_source

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
HALF = "\ud83d"


def read(path: Path, content: str, **options: Any) -> list[Record]:
    path.write_text(content, encoding="utf-8")
    return list(open_source(path, **options))


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(b"x")


def brief(records: list[Record]) -> dict[str, tuple[str, ...]]:
    """Captions by the file names of pictures."""
    return {r.path.name: r.captions for r in records if isinstance(r, ImageRecord)}


def reasons(records: list[Record]) -> list[str]:
    return [record.reason for record in records if isinstance(record, Skipped)]


def test_a_quote_between_tabs_swallows_no_row(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    rows = [
        "image\tcaption",
        'a.jpg\t"Hello" sign',
        'b.jpg\t"unbalanced',
        "c.jpg\tthe row after it",
        'd.jpg\t"a ""quoted"" field\twith a tab"',
        'e.jpg\ta 5" wheel\r',
    ]
    records = read(tmp_path / "t.tsv", "\n".join(rows) + "\n")
    assert reasons(records) == []
    assert brief(records) == {
        "a.jpg": ('"Hello" sign',),
        "b.jpg": ('"unbalanced',),
        "c.jpg": ("the row after it",),
        "d.jpg": ('a "quoted" field with a tab',),
        "e.jpg": ('a 5" wheel',),
    }


def test_a_row_between_tabs_that_has_too_many_fields_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    records = read(tmp_path / "t.tsv", 'image\tcaption\na.jpg\t"one\ttwo\nb.jpg\tthree\n')
    assert reasons(records) == [
        "row 2 has 3 fields, the header has 2; quote fields that contain the delimiter"
    ]
    assert brief(records) == {"b.jpg": ("three",)}


@pytest.mark.parametrize(("written", "on_disk"), [(NFC, NFD), (NFD, NFC)])
def test_a_name_finds_its_file_in_the_other_spelling(
    tmp_path: Path, written: str, on_disk: str
) -> None:
    pictures(tmp_path, f"{on_disk}.jpg", f"{on_disk}/{on_disk}.jpg", "plain.jpg")
    table = f"image,caption\n{written}.jpg,one\n{written}/{written}.jpg,two\nnone.jpg,three\n"
    records = read(tmp_path / "t.csv", table)
    found = {r.path: r.captions for r in records if isinstance(r, ImageRecord)}
    assert found == {
        tmp_path / f"{on_disk}.jpg": ("one",),
        tmp_path / on_disk / f"{on_disk}.jpg": ("two",),
    }
    assert reasons(records) == ["row 4: there is no such picture file"]
    coco = {
        "images": [{"id": 1, "file_name": f"{written}.jpg"}],
        "annotations": [{"image_id": 1, "caption": "A cup."}],
    }
    records = read(tmp_path / "coco.json", json.dumps(coco), images=tmp_path)
    assert brief(records) == {f"{on_disk}.jpg": ("A cup.",)}


def test_the_name_as_written_goes_first_and_two_others_are_refused(tmp_path: Path) -> None:
    two = [unicodedata.normalize("NFC", "ệ"), unicodedata.normalize("NFD", "ệ")]
    third = "e\u0302\u0323"  # the accents the other way round
    pictures(tmp_path, *(f"{name}.jpg" for name in two))
    table = "image,caption\n" + "".join(f"{name}.jpg,{i}\n" for i, name in enumerate([*two, third]))
    records = read(tmp_path / "t.csv", table)
    assert brief(records) == {f"{two[0]}.jpg": ("0",), f"{two[1]}.jpg": ("1",)}
    [reason] = reasons(records)
    assert "2 files have the name" in reason
    assert "rename all but one" in reason


@pytest.mark.parametrize(("picture", "beside"), [(NFC, NFD), (NFD, NFC)])
@pytest.mark.parametrize("ending", [".jpg.txt", ".TXT"])
def test_captions_beside_a_picture_may_be_spelled_otherwise(
    tmp_path: Path, picture: str, beside: str, ending: str
) -> None:
    pictures(tmp_path, f"{picture}.jpg")
    (tmp_path / f"{beside}{ending}").write_text("A cup.\n", encoding="utf-8")
    records = list(open_source(tmp_path))
    assert brief(records) == {f"{picture}.jpg": ("A cup.",)}
    (tmp_path / f"{picture}{ending}").write_text("Mine.\n", encoding="utf-8")
    assert brief(list(open_source(tmp_path))) == {f"{picture}.jpg": ("Mine.",)}


def test_a_row_with_half_a_character_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"{name}.jpg" for name in "abcde"))
    rows = [
        {"image": "a.jpg", "caption": "fine"},
        {"image": "b.jpg", "caption": f"bad {HALF}"},
        {"image": "c.jpg", "caption": "bad id", "image_id": HALF},
        {"image": "d.jpg", "caption": "bad split", "split": HALF},
        {"image": "e.jpg", "caption": "bad tag", "tags": ["good", HALF]},
        {"image": f"{HALF}.jpg", "caption": "bad name"},
    ]
    records = read(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, rows)))
    assert brief(records) == {"a.jpg": ("fine",), "b.jpg": ()}
    found = reasons(records)
    assert [reason.split(",")[0].partition(": ")[2] for reason in found[:4]] == [
        "a caption holds half a character (\\ud83d)",
        "the id holds half a character (\\ud83d)",
        "the split holds half a character (\\ud83d)",
        "a tag holds half a character (\\ud83d)",
    ]
    assert len(found) == 5
    for record in records:
        if isinstance(record, Skipped):
            (record.uri + record.reason).encode()


def test_half_a_character_costs_coco_one_caption(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": HALF, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": "A cup."},
            {"image_id": 1, "caption": f"A {HALF}."},
            {"image_id": HALF, "caption": "A dog."},
        ],
    }
    records = read(tmp_path / "coco.json", json.dumps(coco), images=tmp_path)
    assert brief(records) == {"a.jpg": ("A cup.",)}
    assert len(reasons(records)) == 2
    alone = list(open_captions(tmp_path / "coco.json"))
    assert [r.text for r in alone if isinstance(r, CaptionRecord)] == ["A cup."]
    assert len(reasons(alone)) == 2


def test_half_a_character_costs_karpathy_one_caption(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    images = [
        {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "A cup."}, {"raw": HALF}]},
        {"filename": "b.jpg", "split": HALF, "sentences": [{"raw": "A dog."}]},
    ]
    records = read(tmp_path / "k.json", json.dumps({"images": images}), images=tmp_path)
    assert brief(records) == {"a.jpg": ("A cup.",)}
    assert len(reasons(records)) == 2


def test_captions_alone_are_refused_by_the_line(tmp_path: Path) -> None:
    rows = [{"caption": "one"}, {"caption": HALF}, {"caption": "two", "split": HALF}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    records = list(open_captions(tmp_path / "t.jsonl"))
    assert [r.text for r in records if isinstance(r, CaptionRecord)] == ["one"]
    assert len(reasons(records)) == 2


def test_what_cannot_be_written_is_told() -> None:
    path = Path("a.jpg")
    assert unwritable(ImageRecord("a", "/a.jpg", path, ("fine",), "train", ("tag",))) == ""
    assert unwritable(CaptionRecord("fine 🙂", "1", "train")) == ""
    assert "the caption holds half" in unwritable(CaptionRecord(HALF))
    assert "the address holds half" in unwritable(ImageRecord("a", HALF, path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_text_is_read_in_the_encoding_that_its_mark_names(
    tmp_path: Path, encoding: str, suffix: str
) -> None:
    path = tmp_path / f"captions{suffix}"
    lines = {".txt": "a café", ".csv": "caption\na café", ".jsonl": '{"caption": "a café"}'}
    path.write_text(lines[suffix] + "\n", encoding=encoding)
    assert list(open_captions(path)) == [CaptionRecord("a café")]


def test_text_of_two_or_four_bytes_a_character_without_a_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_bytes(b"caption\n" + "a cat\n".encode("utf-32-le"))
    said = reasons(list(open_captions(path)))
    assert said == [f"row {n} is not UTF-8; save the file as UTF-8" for n in (2, 3)]
