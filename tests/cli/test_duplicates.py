"""`mrag duplicates`: the groups for people and for programs, and the list of all as a file."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import PACK, Run
from tests.worlds import copied_tree

TABLE = PACK / "plain" / "captions.jsonl"


@pytest.fixture(scope="module")
def twice(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home with a collection whose three pictures are one scene, one of them in two files."""
    made = tmp_path_factory.mktemp("twice")
    copied_tree(home, made / "home")
    pictures = made / "pictures"
    pictures.mkdir()
    scene = Image.open(PACK / "plain" / "images" / "002.webp").convert("RGB")
    for name, side in (("large", 160), ("middle", 96), ("small", 64)):
        scene.resize((side, side)).save(pictures / f"{name}.jpg")
    shutil.copy(pictures / "large.jpg", pictures / "large again.jpg")
    return made


@pytest.fixture
def filled(mrag: Run, twice: Path) -> Path:
    done = mrag(
        "ingest", twice / "pictures", "-c", "twice", "--profile", "sample", at=twice / "home"
    )
    assert done.code == 0, done.err
    return twice / "home"


def test_duplicates_are_listed_and_written(mrag: Run, filled: Path, tmp_path: Path) -> None:
    done = mrag("duplicates", "-c", "twice", at=filled)
    assert done.code == 0, done.err
    assert "1. 4 files of the same sight" in done.out
    assert "keep" in done.out
    assert "Nothing was deleted" in done.err
    (group,) = mrag("duplicates", "-c", "twice", "--json", at=filled).answers
    assert [picture["width"] for picture in group["pictures"]] == [160, 96, 64]
    (exact,) = mrag("duplicates", "-c", "twice", "--exact", "--json", at=filled).answers
    assert exact["files"] == 2
    table, lines = tmp_path / "list.csv", tmp_path / "list.jsonl"
    for path in (table, lines):
        assert mrag("duplicates", "-c", "twice", "--out", path, at=filled).code == 0
    assert len(list(csv.reader(table.read_text("utf-8-sig").splitlines()))) == 5
    assert json.loads(lines.read_text())["files"] == 4


def test_a_search_shows_copies_once_unless_they_are_asked_for(mrag: Run, filled: Path) -> None:
    how = ("--image", PACK / "plain" / "images" / "002.webp", "-c", "twice", "--space", "raw")
    done = mrag("search", *how, at=filled)
    assert "(+2 copies)" in done.out
    (answer,) = mrag("search", *how, "--json", at=filled).answers
    assert [hit["copies"] for hit in answer["hits"]] == [2]
    (answer,) = mrag("search", *how, "--copies", "--json", at=filled).answers
    assert [hit["copies"] for hit in answer["hits"]] == [0, 0, 0]


def test_a_collection_without_duplicates_says_so(mrag: Run) -> None:
    done = mrag("duplicates", "--exact")
    assert (done.code, done.out) == (0, "")
    assert "no duplicates were found" in done.err
