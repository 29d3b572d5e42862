import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corpus.records import CaptionRecord, ImageRecord, Record, Skipped
from engine.errors import SourceError
from ingest.readers import open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg", "with, comma.jpg", "pics/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def read(folder: Path, name: str, content: str | bytes, **options: Any) -> list[Record]:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return list(open_source(folder / name, **options))


def brief(records: list[Record]) -> list[tuple[str, tuple[str, ...]]]:
    """(image id, captions) of pictures; everything else is a failure."""
    assert all(isinstance(record, ImageRecord) for record in records), records
    return [(r.image_id, r.captions) for r in records if isinstance(r, ImageRecord)]


def reasons(records: list[Record]) -> list[str]:
    return [record.reason for record in records if isinstance(record, Skipped)]


AB = [("a.jpg", ("A cat.",)), ("b.jpg", ("A dog, running.",))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'image,caption\na.jpg,A cat.\nb.jpg,"A dog, running."\n'),
        ("t.csv", "image;caption\r\na.jpg;A cat.\r\nb.jpg;A dog, running.\r\n"),
        ("t.csv", b'\xef\xbb\xbfimage,caption\na.jpg,A cat.\n\nb.jpg,"A dog, running."\n'),
        ("t.csv", "image|caption\na.jpg|A cat.\nb.jpg|A dog, running."),
        ("t.csv", 'Caption, File_Name\n"A cat.", a.jpg\n"A dog, running.", b.jpg\n'),
        ("t.csv", 'image,caption\na.jpg,A cat.\nb.jpg,"A dog,\nrunning."\n'.encode("utf-16")),
        ("t.csv", 'image,caption\ra.jpg,A cat.\rb.jpg,"A dog, running."\r'),
        ("t.csv", 'image,caption,\na.jpg,A cat.,\nb.jpg,"A dog,\0running.",\n'),
        ("t.tsv", "path\ttext\na.jpg\tA cat.\nb.jpg\tA dog, running.\n"),
        ("captions.txt", 'image,caption\na.jpg,A cat.\nb.jpg,"A dog, running."\n'),
        (
            "t.jsonl",
            '{"image":"a.jpg","captions":["A cat."]}\n\n{"file":"./b.jpg",'
            '"text":"A dog, running.","id":"b.jpg"}',
        ),
        (
            "t.json",
            '[{"image":"a.jpg","captions":["A cat."]},\n {"image":"b.jpg",'
            '"caption":"A dog, running."}]',
        ),
        (
            "t.json",
            '{"image":"a.jpg","caption":"A cat."}\n{"image":"b.jpg","caption":"A dog, running."}\n',
        ),
    ],
)
def test_tables_of_every_make(folder: Path, name: str, content: str | bytes) -> None:
    assert brief(read(folder, name, content)) == AB


def test_rows_of_one_picture_become_one_wherever_they_stand(folder: Path) -> None:
    rows = "image,caption\na.jpg,one\nb.jpg,two\na.jpg,three\n./a.jpg,four\nb.jpg,two\n"
    assert brief(read(folder, "t.csv", rows)) == [
        ("a.jpg", ("one", "three", "four")),
        ("b.jpg", ("two",)),
    ]


def test_split_tags_and_id_columns(folder: Path) -> None:
    rows = (
        "image,caption,split,tags,image_id\n"
        'a.jpg,one,train,"beach, summer",7\n'
        "b.jpg,two,test,,8\n"
        "a.jpg,three,,,\n"
    )
    record, other = read(folder, "t.csv", rows)
    assert isinstance(record, ImageRecord)
    assert isinstance(other, ImageRecord)
    assert (record.image_id, record.split, record.tags) == ("7", "train", ("beach", "summer"))
    assert record.captions == ("one", "three")
    assert (other.image_id, other.split, other.tags) == ("8", "test", ())


def test_lists_in_jsonl_and_in_cells(folder: Path) -> None:
    line = json.dumps({"image": "a.jpg", "caption": ["x", "y"], "tags": ["t, u"], "id": 3})
    (record,) = read(folder, "t.jsonl", line)
    assert isinstance(record, ImageRecord)
    assert (record.captions, record.tags, record.image_id) == (("x", "y"), ("t, u",), "3")
    cell = 'filename,raw\na.jpg,"[""x"", ""y""]"\nb.jpg,[sic] not a list\n'
    assert brief(read(folder, "t.csv", cell)) == [
        ("a.jpg", ("x", "y")),
        ("b.jpg", ("[sic] not a list",)),
    ]


def test_split_filter(folder: Path) -> None:
    rows = "image,caption,split\na.jpg,one,train\nb.jpg,two,val\nnone.jpg,three,val\n"
    train = frozenset({"train"})
    assert brief(read(folder, "t.csv", rows, split=train)) == [("a.jpg", ("one",))]
    with pytest.raises(SourceError, match="nothing of split dev; splits it has: train, val"):
        read(folder, "t.csv", rows, split=frozenset({"dev"}))


def test_limit_counts_pictures_that_are_there(folder: Path) -> None:
    rows = "image,caption\nnone.jpg,0\na.jpg,1\nb.jpg,2\nc.jpg,3\na.jpg,4\n"
    records = read(folder, "t.csv", rows, limit=2)
    assert brief([r for r in records if not isinstance(r, Skipped)]) == [
        ("a.jpg", ("1", "4")),
        ("b.jpg", ("2",)),
    ]


def test_named_columns(folder: Path) -> None:
    rows = "Photo,Legend,caption\na.jpg,mine,not mine\n"
    options = {"image_column": "photo", "caption_column": "Legend"}
    assert brief(read(folder, "t.csv", rows, **options)) == [("a.jpg", ("mine",))]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_unknown_columns_are_an_error_that_names_them(folder: Path, name: str) -> None:
    rows = "foo,bar\n1,2\n" if name == "t.csv" else '{"foo": 1, "bar": 2}\n'
    with pytest.raises(SourceError, match=r"its columns are: foo, bar.*--image-column"):
        read(folder, name, rows)


@pytest.mark.parametrize("column", ["image_column", "caption_column"])
def test_a_named_column_that_is_not_there_is_an_error(folder: Path, column: str) -> None:
    with pytest.raises(SourceError, match=r"no column 'fotos'.*image, caption"):
        read(folder, "t.csv", "image,caption\na.jpg,x\n", **{column: "Fotos"})


def test_pictures_relative_to_another_folder(folder: Path) -> None:
    rows = "image,caption\nd.jpg,one\n"
    (record,) = read(folder, "t.csv", rows, images=folder / "pics")
    assert isinstance(record, ImageRecord)
    assert record.path == folder / "pics" / "d.jpg"
    assert record.image_id == "d.jpg"
    with pytest.raises(SourceError, match="there is no folder"):
        read(folder, "t.csv", rows, images=folder / "nope")


def test_absolute_paths(folder: Path) -> None:
    (record,) = read(folder, "t.jsonl", json.dumps({"image": str(folder / "a.jpg")}))
    assert isinstance(record, ImageRecord)
    assert record.path == folder / "a.jpg"
    assert record.captions == ()


def test_captions_without_pictures(folder: Path) -> None:
    rows = '{"caption": "A cat.", "image_id": 5, "split": "x"}\n{"captions": ["b", "c"], "id": 1}\n'
    assert read(folder, "t.jsonl", rows) == [
        CaptionRecord("A cat.", "5", "x"),
        CaptionRecord("b"),
        CaptionRecord("c"),
    ]
    assert len(read(folder, "t.jsonl", rows, limit=2)) == 2
    assert read(folder, "t.csv", "text\nA cat.\n,\nA dog.\n")[0] == CaptionRecord("A cat.")


def test_rows_with_and_without_pictures_in_one_file(folder: Path) -> None:
    records = read(folder, "t.csv", "image,caption\na.jpg,one\n,two\n")
    assert [type(record) for record in records] == [CaptionRecord, ImageRecord]


def test_missing_pictures_and_web_addresses_are_skipped_with_their_row(folder: Path) -> None:
    rows = "image,caption\nno.jpg,x\nhttps://example.org/a.jpg,y\n"
    first, second = reasons(read(folder, "t.csv", rows))
    assert first == "row 2: there is no such picture file"
    assert second.startswith("row 3: a picture must be a local file")


def test_bad_csv_rows_are_skipped_with_their_row_and_the_rest_is_read(folder: Path) -> None:
    rows = (
        b"image,caption\n"
        b"a.jpg,A cat, with, commas\n"
        b"a.jpg,caf\xe9\n"
        b",\n"
        b'a.jpg,"wrong" quotes\n'
        b"short.jpg\n"
        b"b.jpg,fine\n"
        b'c.jpg,"never closed\nb.jpg,lost\n'
    )
    records = read(folder, "t.csv", rows)
    said = "\n".join(reasons(records))
    assert "row 2 has 4 fields, the header has 2" in said
    assert "row 3 is not UTF-8" in said
    assert "row 4 has neither a picture nor a caption" in said
    assert "row 5 (up to line 5)" in said
    assert "row 6: there is no such picture file" in said
    assert "row 8 (up to line 9): unexpected end of data" in said
    assert len(reasons(records)) == 6
    assert brief([r for r in records if not isinstance(r, Skipped)]) == [("b.jpg", ("fine",))]


def test_bad_lines_of_jsonl_are_skipped_with_their_number(folder: Path) -> None:
    good = b'{"image": "a.jpg", "caption": "fine"}'
    bad = [b"{", b"[1]", b'{"image": {"bytes": 1}}', b"[" * 100_000, b'"\xff"', b'{"image": true}']
    bad += [b'{"caption": ["x", {"y": 1}]}', b'{"other": 1}', b'{"image": "a\\u0000b"}']
    records = read(folder, "t.jsonl", b"\n".join([good, *bad, good]))
    said = reasons(records)
    assert len(said) == len(bad)
    for number, reason in enumerate(said[:-1], start=2):
        assert f"line {number}" in reason
    assert brief([r for r in records if not isinstance(r, Skipped)]) == [("a.jpg", ("fine",))]


def test_a_json_list_that_is_cut_gives_what_is_whole(folder: Path) -> None:
    records = read(folder, "t.json", '[{"image": "a.jpg", "caption": "x"}, {"caption": "y"}, {"im')
    assert [r for r in records if isinstance(r, CaptionRecord)] == [CaptionRecord("y")]
    assert "not whole JSON after 2 elements" in reasons(records)[-1]


def test_huge_fields_and_huge_lines(folder: Path) -> None:
    long = "word " * 60_000
    ((_, captions),) = brief(read(folder, "t.csv", f"image,caption\na.jpg,{long}\n"))
    assert captions == (long.strip(),)
    with pytest.raises(SourceError, match="line 2 is longer than 16,777,216"):
        read(folder, "t.jsonl", '{"image": "a.jpg"}\n' + "x" * 17_000_000)


def test_a_file_of_another_kind_is_an_error(folder: Path) -> None:
    for name, content in [("t.parquet", b"PAR1"), ("t.json", b"{}"), ("t.json", b""),
                          ("t.json", b'"text"'), ("t.txt", b"\x89PNG\0\0")]:  # fmt: skip
        with pytest.raises(SourceError, match=r"of no kind that can be read.*COCO"):
            read(folder, name, content)


def test_a_header_that_is_none_is_an_error(folder: Path) -> None:
    for header in ('"image,caption\na.jpg,x\n', 'image,"cap"tion\n', "\r\x01,\n"):
        with pytest.raises(SourceError, match=r"header|column"):
            read(folder, "t.csv", header + "a.jpg,x\n")


def test_empty_tables_are_empty(folder: Path) -> None:
    assert read(folder, "t.csv", "") == []
    assert read(folder, "t.csv", "image,caption\n") == []
    assert brief(read(folder, "t.csv", "\n\nimage,caption\na.jpg,x\n")) == [("a.jpg", ("x",))]
    assert read(folder, "t.jsonl", "\n\n") == []


plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
caption_lists = st.lists(plain, min_size=1, max_size=4)
tables = st.lists(st.tuples(st.sampled_from(["a.jpg", "b.jpg", "with, comma.jpg"]), caption_lists))
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def expected(rows: list[tuple[str, list[str]]]) -> list[tuple[str, tuple[str, ...]]]:
    """Pictures in order of first appearance, their captions each once, as one line."""
    found: dict[str, dict[str, None]] = {}
    for image, captions in rows:
        lines = [" ".join(text.split()) for text in captions]
        found.setdefault(image, {}).update(dict.fromkeys(filter(None, lines)))
    return [(image, tuple(captions)) for image, captions in found.items()]


@SETTINGS
@given(tables, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-8-sig"]))
def test_any_captions_survive_csv(
    folder: Path, rows: list[tuple[str, list[str]]], delimiter: str, encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["image", "caption"])
    for image, captions in rows:
        # A cell that is itself a JSON list is read as one, so write lists that way.
        writer.writerows([image, json.dumps([caption])] for caption in captions)
    assert brief(read(folder, "t.csv", text.getvalue().encode(encoding))) == expected(rows)


@SETTINGS
@given(tables)
def test_any_captions_survive_plain_csv_cells(
    folder: Path, rows: list[tuple[str, list[str]]]
) -> None:
    rows = [(image, [t.replace("[", "(") for t in captions]) for image, captions in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["caption", "image"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for image, captions in rows:
        writer.writerows({"image": image, "caption": caption} for caption in captions)
    assert brief(read(folder, "t.csv", text.getvalue())) == expected(rows)


@SETTINGS
@given(tables, st.booleans())
def test_any_captions_survive_jsonl(
    folder: Path, rows: list[tuple[str, list[str]]], ascii_only: bool
) -> None:
    lines = [
        json.dumps({"image": image, "captions": captions}, ensure_ascii=ascii_only)
        for image, captions in rows
    ]
    assert brief(read(folder, "t.jsonl", "\n".join(lines))) == expected(rows)


@SETTINGS
@example(b"\r\x01", "t.txt")
@given(st.binary(max_size=400), st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.json", "t.txt"]))
def test_any_bytes_give_records_or_a_source_error(folder: Path, content: bytes, name: str) -> None:
    try:
        records = read(folder, name, content)
    except SourceError:
        return
    for record in records:
        if isinstance(record, CaptionRecord):
            record.text.encode()
