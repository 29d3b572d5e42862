"""Captions and references as others write them to files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput, SourceError
from evaluation.metrics.caption_files import read_scorable

CAPTIONS = [{"image_id": "2", "caption": "a cat"}, {"image_id": 1, "caption": "a dog"}]
REFERENCES: dict[str, list[str]] = {"1": ["one dog", "a pet"], "2": ["one cat"], "3": ["a tree"]}


def files(folder: Path, captions: Any, references: Any) -> tuple[Path, Path]:
    made = []
    for name, data in (("captions", captions), ("references", references)):
        path = folder / name
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        made.append(path)
    return made[0], made[1]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("captions", [CAPTIONS, lines(CAPTIONS), {"2": "a cat", "1": ["a dog"]}])
@pytest.mark.parametrize(
    "references",
    [
        REFERENCES,
        [{"image_id": int(key), "captions": said} for key, said in REFERENCES.items()],
        lines([{"image": key, "references": said} for key, said in REFERENCES.items()]),
        {
            "images": [{"id": 1}, {"id": 2}, {"id": 3}],
            "annotations": [
                {"id": 7, "image_id": int(key), "caption": text}
                for key, said in REFERENCES.items()
                for text in said
            ],
        },
    ],
)
def test_every_form_gives_the_same_pairs(tmp_path: Path, captions: Any, references: Any) -> None:
    read = read_scorable(*files(tmp_path, captions, references))
    assert read.image_ids == ("2", "1")
    assert read.captions == ("a cat", "a dog")
    assert read.references == (("one cat",), ("one dog", "a pet"))
    assert read.left_out == 1


def test_one_line_of_json_lines_is_one_picture(tmp_path: Path) -> None:
    read = read_scorable(*files(tmp_path, lines(CAPTIONS[:1]), REFERENCES))
    assert read.captions == ("a cat",)


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        ("", "holds no captions"),
        ('{"image_id": 1', "neither JSON nor JSON Lines"),
        ("[" * 100_000, "neither JSON nor JSON Lines"),
        ([], "holds no captions"),
        (3, "no list or object"),
        (["a dog"], "entry 1, names no picture"),
        ([{"image_id": 1}], "entry 1, names no picture"),
        ([{"image_id": None, "caption": "a dog"}], "no id of a picture"),
        ([{"image_id": 1, "caption": 5}], "no text"),
        ([{"image_id": 1, "captions": ["a", None]}], "no text"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, captions: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read_scorable(*files(tmp_path, captions, REFERENCES))


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        ([*CAPTIONS, {"image_id": 2, "caption": "another"}], "2 captions of picture '2'"),
        ({"1": []}, "0 captions of picture '1'"),
        ({"1": "a dog", "9": "a lamp"}, r"no references of 1 of the 2 .*'9'"),
    ],
)
def test_files_that_do_not_pair_are_refused(tmp_path: Path, captions: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_scorable(*files(tmp_path, captions, REFERENCES))


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    captions, references = files(tmp_path, CAPTIONS, REFERENCES)
    captions.unlink()
    os.mkfifo(captions)
    with pytest.raises(SourceError, match="is a named pipe, not a regular file"):
        read_scorable(captions, references)


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    there, _ = files(tmp_path, CAPTIONS, REFERENCES)
    with pytest.raises(SourceError, match="absent cannot be read"):
        read_scorable(tmp_path / "absent", there)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SourceError, match="not UTF-8"):
        read_scorable(there, tmp_path / "bytes")


@given(
    st.dictionaries(st.text(min_size=1), st.text(), min_size=1).filter(
        lambda d: "annotations" not in d
    )
)
def test_any_text_comes_through(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    rows = [{"image_id": key, "caption": text} for key, text in said.items()]
    read = read_scorable(*files(folder, lines(rows), said))
    assert dict(zip(read.image_ids, read.captions, strict=True)) == said
    assert read.references == tuple((text,) for text in said.values())
