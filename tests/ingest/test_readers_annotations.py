"""COCO's and Karpathy's JSON, and captions alone."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.records import CaptionRecord, ImageRecord, Record, Skipped
from engine.errors import InvalidInput, SourceError
from ingest.readers import open_captions, open_source, pictures_of


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "val2017"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"{number:012}.jpg").write_bytes(b"x")
    return folder


def coco(count: int, captions: list[tuple[int, str]]) -> dict[str, Any]:
    return {
        "info": {"year": 2017, "images": "a trap"},
        "licenses": [{"id": 1}],
        "images": [
            {"license": 1, "file_name": f"{n:012}.jpg", "id": n} for n in range(1, count + 1)
        ],
        "annotations": [
            {"image_id": image, "id": 100 + i, "caption": text}
            for i, (image, text) in enumerate(captions)
        ],
    }


CAPTIONS = [(2, "Two."), (1, "One \n line. "), (2, "Also two."), (3, "Three."), (2, "Two.")]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_coco_pairs_come_by_picture(tmp_path: Path, pictures: Path) -> None:
    path = write(tmp_path / "captions_val2017.json", coco(3, CAPTIONS))
    records = list(open_source(path, images=pictures))
    assert records == [
        ImageRecord(
            image_id=str(n),
            uri=str(pictures / f"{n:012}.jpg"),
            path=pictures / f"{n:012}.jpg",
            captions=captions,
        )
        for n, captions in [(1, ("One line.",)), (2, ("Two.", "Also two.")), (3, ("Three.",))]
    ]


def test_coco_sections_may_stand_in_any_order(tmp_path: Path, pictures: Path) -> None:
    content = dict(reversed(coco(3, CAPTIONS).items()))
    (tmp_path / "c.json").write_text("\ufeff" + json.dumps(content, indent=1))
    first = next(open_source(tmp_path / "c.json", images=pictures))
    assert isinstance(first, ImageRecord)
    assert first.captions == ("One line.",)


def test_coco_without_pictures_gives_the_captions_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "captions_train2017.json", coco(3, CAPTIONS))
    said, *records = open_source(path)
    assert isinstance(said, Skipped)
    assert "its 3 pictures are not beside it" in said.reason
    assert "--images FOLDER" in said.reason
    assert records[:2] == [
        CaptionRecord("Two.", "2"),
        CaptionRecord("One line.", "1"),
    ]
    assert len(list(open_source(path, limit=3))) == 1 + 3
    assert list(open_captions(path)) == records
    del (content := coco(3, CAPTIONS))["images"]
    assert list(open_source(write(path, content))) == records, "it lists none"


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("c.json", "."),
        ("c.json", "images"),
        ("c.json", "val2017"),
        ("c.json", "images/train2014"),
        ("annotations/c.json", "."),
        ("annotations/c.json", "val2014"),
        ("annotations/c.json", "images"),
        ("annotations/c.json", "images/test2015"),
    ],
)
def test_coco_pictures_that_lie_near_are_found(tmp_path: Path, file: str, folder: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "val2015").mkdir()
    for n in (1, 3):
        (tmp_path / folder / f"{n:012}.jpg").write_bytes(b"x")
    (tmp_path / "val2015" / f"{2:012}.jpg").write_bytes(b"x")  # fewer of them lie there
    path = write(tmp_path / file, coco(3, CAPTIONS))
    assert pictures_of(path) == tmp_path / folder
    first, third, missing = sorted(open_source(path), key=lambda one: isinstance(one, Skipped))
    assert isinstance(first, ImageRecord)
    assert isinstance(third, ImageRecord)
    assert first.path == tmp_path / folder / f"{1:012}.jpg"
    assert (first.captions, third.captions) == (("One line.",), ("Three.",))
    assert isinstance(missing, Skipped)
    assert missing.reason == "image 2: there is no such picture file"


def test_coco_pictures_that_are_missing_or_unknown_are_skipped(
    tmp_path: Path, pictures: Path
) -> None:
    content = coco(4, [*CAPTIONS, (4, "Four."), (99, "Who?"), (3, " ")])
    content["images"].append({"id": 5})
    content["annotations"].append({"id": 1, "image_id": 3})
    path = write(tmp_path / "c.json", content)
    records = list(open_source(path, images=pictures))
    assert sum(isinstance(record, ImageRecord) for record in records) == 3
    said = [record.reason for record in records if isinstance(record, Skipped)]
    assert said == [
        "image 5 has no id or no file_name",
        "annotation 7 is of image 99, which is not listed",
        "annotation 8 is empty",
        "annotation 9 has no caption or no image_id",
        "image 4: there is no such picture file",
    ]


def test_coco_objects_instead_of_captions_are_an_error(tmp_path: Path, pictures: Path) -> None:
    content = coco(1, [])
    content["annotations"] = [{"image_id": 1, "bbox": [1, 2, 3, 4]}]
    path = write(tmp_path / "instances_val2017.json", content)
    for images in (None, pictures):
        with pytest.raises(SourceError, match=r"no captions.*captions_train2017.json"):
            list(open_source(path, images=images))


def test_a_cut_coco_file_is_an_error_before_anything_is_read(
    tmp_path: Path, pictures: Path
) -> None:
    path = tmp_path / "c.json"
    content = json.dumps(coco(3, CAPTIONS)).encode()
    for broken in (content[:-40], content.replace(b"Two", b"\xff\n"), content + b"}"):
        path.write_bytes(broken)
        with pytest.raises(SourceError, match=r"not whole JSON after .* get the file again"):
            list(open_source(path, images=pictures))


def test_a_coco_file_has_no_split(tmp_path: Path) -> None:
    path = write(tmp_path / "captions_val2014.json", coco(1, [(1, "x")]))
    with pytest.raises(SourceError, match="nothing of split val; splits it has: none"):
        list(open_source(path, split=frozenset({"val"})))


def karpathy(*images: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": [
            {
                "filename": f"{i:012}.jpg",
                "split": "train",
                "imgid": i,
                "sentids": [i],
                "sentences": [{"tokens": ["a"], "raw": f"Picture {i}. ", "sentid": i}],
                **image,
            }
            for i, image in enumerate(images, start=1)
        ],
        "dataset": "coco",
    }


def test_karpathy_pairs(tmp_path: Path, pictures: Path) -> None:
    path = write(
        tmp_path / "dataset_coco.json",
        karpathy({"filepath": "val2017", "cocoid": 41}, {"split": "restval"}, {"split": "test"}),
    )
    first, second, third = open_source(path, images=tmp_path, split=frozenset())
    assert isinstance(first, ImageRecord)
    assert first.path == pictures / "000000000001.jpg"
    assert (first.image_id, first.captions) == ("41", ("Picture 1.",))
    assert isinstance(second, Skipped)  # has no folder: not found above val2017
    flat = list(open_source(path, images=pictures, split=frozenset({"train"})))
    assert [(r.image_id, r.split) for r in flat if isinstance(r, ImageRecord)] == [
        ("41", "train"),
        ("000000000002.jpg", "train"),
    ]
    assert isinstance(third, Skipped)


def test_karpathy_pictures_of_other_splits_are_not_missed(tmp_path: Path, pictures: Path) -> None:
    path = write(tmp_path / "d.json", karpathy(*[{"split": "test"}] * 3, *[{}] * 50))
    assert len(list(open_source(path, images=pictures, split=frozenset({"test"})))) == 3


def test_karpathy_without_pictures_gives_the_captions_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", karpathy({"cocoid": 5}, {"split": "val"}))
    said, *records = open_source(path)
    assert isinstance(said, Skipped)
    assert "its 2 pictures are not beside it" in said.reason
    assert records == [
        CaptionRecord("Picture 1.", "5", "train"),
        CaptionRecord("Picture 2.", "000000000002.jpg", "val"),
    ]


def test_karpathy_entries_that_are_wrong_are_skipped(tmp_path: Path, pictures: Path) -> None:
    path = write(tmp_path / "d.json", karpathy({}, {"sentences": None}, {"sentences": [{}]}))
    records = list(open_source(path, images=pictures))
    assert [type(record) for record in records] == [ImageRecord, Skipped, Skipped]


def test_captions_alone_from_text(tmp_path: Path) -> None:
    path = tmp_path / "memory.txt"
    path.write_bytes("\ufeffA cat.\r\n\r\n  A \t dog. \n".encode() + b"caf\xe9\n" + b"Last")
    records: list[Record] = list(open_source(path))
    assert [r.text for r in records if isinstance(r, CaptionRecord)] == ["A cat.", "A dog.", "Last"]
    assert [r.reason for r in records if isinstance(r, Skipped)] == [
        "line 4 is not UTF-8; save the file as UTF-8"
    ]
    with pytest.raises(InvalidInput, match="names no pictures"):
        open_source(path, images=tmp_path)


def test_captions_alone_of_a_table_do_not_need_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,caption,split\nhttp://x/1.jpg,one,val\n2.jpg,two,train\n,three,\n")
    assert list(open_captions(path)) == [
        CaptionRecord("three"),
        CaptionRecord("one", "http:/x/1.jpg", "val"),
        CaptionRecord("two", "2.jpg", "train"),
    ]
    assert len(list(open_captions(path, split=frozenset({"val"})))) == 1


def test_captions_alone_may_be_in_a_text_file_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "captions.md").write_text("A cat.\n")
    assert list(open_captions(tmp_path / "captions.md")) == [CaptionRecord("A cat.")]
    (tmp_path / "photo.raw").write_bytes(b"\0\1\2")
    with pytest.raises(SourceError, match="of no kind"):
        open_captions(tmp_path / "photo.raw")


@pytest.mark.parametrize("kind", ["coco", "csv"])
def test_memory_is_a_small_part_of_the_source(tmp_path: Path, pictures: Path, kind: str) -> None:
    captions = [(n % 60 + 1, f"{n} {'word' * 12_500}") for n in range(300)]
    path = write(tmp_path / "c.json", coco(60, captions))
    if kind == "csv":
        path = tmp_path / "t.csv"
        rows = (f"{image:012}.jpg,{text}" for image, text in captions)
        path.write_text("\n".join(["image,caption", *rows]))
    del captions
    tracemalloc.start()
    count = sum(1 for _ in open_source(path, images=pictures))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60
    assert path.stat().st_size > 15_000_000
    assert peak < 5_000_000


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.text(st.characters(codec="utf-8"), max_size=20)),
        max_size=12,
    )
)
def test_any_captions_survive_coco(
    tmp_path: Path, pictures: Path, captions: list[tuple[int, str]]
) -> None:
    path = write(tmp_path / "c.json", coco(3, captions))
    expected: dict[str, dict[str, None]] = {"1": {}, "2": {}, "3": {}}
    for image, text in captions:
        line = " ".join(text.replace("\0", " ").split())
        expected[str(image)] |= {line: None} if line else {}
    found = [r for r in open_source(path, images=pictures) if isinstance(r, ImageRecord)]
    assert {r.image_id: r.captions for r in found} == {
        key: tuple(values) for key, values in expected.items()
    }
