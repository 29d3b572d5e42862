"""What a collection holds more than once: the groups, their order, and what tells copies apart."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image

from engine.app import Collection, Engine, build_engine
from engine.settings import SAMPLE_PACK, Settings
from ingest import filling
from ingest.readers import open_source
from mrag_client.models import DuplicateKind, DuplicateOptions, DuplicatesAnswer
from service.duplicates import all_groups, duplicates
from service.exports import duplicates_as_csv

SCENES = SAMPLE_PACK / "plain" / "images"
FIRST = datetime(2020, 5, 1, tzinfo=UTC).timestamp()


def scene(folder: Path, number: int, name: str, side: int = 96, quality: int = 90) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(SCENES / f"{number:03}.webp").convert("RGB").resize((side, side))
    image.save(path, quality=quality)
    return path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`twice`: one scene of three sights and four files, one in two files, three others."""
    made = tmp_path_factory.mktemp("duplicates")
    pictures = made / "pictures"
    for number in (3, 4, 5):
        scene(pictures, number, f"{number}.jpg")
    large = scene(pictures, 0, "large.jpg", side=128)
    scene(pictures, 0, "bad.jpg", side=128, quality=20)
    scene(pictures, 0, "=small.jpg", side=64)
    shutil.copy(large, pictures / "older large.jpg")
    os.utime(pictures / "older large.jpg", (FIRST, FIRST))
    same = scene(pictures, 1, "same.jpg")
    shutil.copy(same, pictures / "same again.jpg")
    engine = build_engine(Settings(home=made / "home", profile="sample", device="cpu"))
    filling.fill(engine, open_source(pictures), "twice", models=filling.specs(engine, "twice"))
    yield engine
    engine.close()


@pytest.fixture
def collection(engine: Engine) -> Collection:
    return engine.open("twice")


def names(found: DuplicatesAnswer) -> list[list[list[str]]]:
    """The names of files, by picture and by group."""
    return [
        [[Path(file.path).name for file in picture.files] for picture in group.pictures]
        for group in found.groups
    ]


LOOK_ALIKE = [["older large.jpg", "large.jpg"], ["bad.jpg"], ["=small.jpg"]]
SAME = [["same.jpg", "same again.jpg"]]
ONE_FILE = [["older large.jpg", "large.jpg"]]


@pytest.mark.parametrize(
    ("kind", "groups"),
    [("all", [LOOK_ALIKE, SAME]), ("near", [LOOK_ALIKE]), ("exact", [ONE_FILE, SAME])],
)
def test_groups_come_with_the_picture_to_keep_first(
    collection: Collection, engine: Engine, kind: DuplicateKind, groups: list[list[list[str]]]
) -> None:
    found = duplicates(collection, engine.settings, DuplicateOptions(kind=kind))
    assert [[sorted(one) for one in group] for group in names(found)] == [
        [sorted(one) for one in group] for group in groups
    ]
    assert names(found)[0][0] == ["older large.jpg", "large.jpg"]  # the oldest file first
    for group in found.groups:
        assert [picture.keep for picture in group.pictures] == [True] + [False] * (
            len(group.pictures) - 1
        )
    assert (found.total, found.waiting, found.missing) == (len(groups), 0, 0)


def test_what_could_be_spared_is_all_but_the_file_to_keep(
    collection: Collection, engine: Engine
) -> None:
    found = duplicates(collection, engine.settings, DuplicateOptions())
    for group in found.groups:
        files = [file for picture in group.pictures for file in picture.files]
        assert group.files == len(files)
        assert group.spare == sum(file.bytes for file in files[1:])
        assert all(file.bytes == Path(file.path).stat().st_size for file in files)
    assert found.spare == sum(group.spare for group in found.groups)
    assert found.files == 6


def test_pages_follow_each_other(collection: Collection, engine: Engine) -> None:
    one = DuplicateOptions(k=1)
    pages = [
        duplicates(collection, engine.settings, one.model_copy(update={"offset": at}))
        for at in range(3)
    ]
    assert [len(page.groups) for page in pages] == [1, 1, 0]
    assert {page.total for page in pages} == {2}
    whole = duplicates(collection, engine.settings, DuplicateOptions()).groups
    assert tuple(all_groups(collection, engine.settings, one)) == whole


def test_places_are_told_to_those_alone_who_may_know_them(
    collection: Collection, engine: Engine
) -> None:
    found = duplicates(collection, engine.settings, DuplicateOptions(), paths=False)
    assert "/" not in found.model_dump_json().replace("bytes/", "")
    assert names(found)[0][0] == ["older large.jpg", "large.jpg"]


def test_the_list_has_a_row_for_each_file_and_no_formulas(
    collection: Collection, engine: Engine
) -> None:
    found = duplicates(collection, engine.settings, DuplicateOptions(), paths=False)
    page = StringIO(duplicates_as_csv(found.groups).decode("utf-8-sig"), newline="")
    rows = list(csv.DictReader(page))
    assert [row["group"] for row in rows] == ["1"] * 4 + ["2"] * 2
    assert [row["path"] for row in rows if row["keep"]] == ["older large.jpg", rows[4]["path"]]
    assert "'=small.jpg" in [row["path"] for row in rows]
    assert {row["there"] for row in rows} == {"yes"}


def test_a_file_that_has_gone_is_marked_and_not_proposed(
    collection: Collection, engine: Engine
) -> None:
    found = duplicates(collection, engine.settings, DuplicateOptions(kind="near"))
    (kept, second) = (Path(file.path) for file in found.groups[0].pictures[0].files)
    aside = kept.rename(kept.with_name("aside"))
    try:
        found = duplicates(collection, engine.settings, DuplicateOptions(kind="near"))
        files = found.groups[0].pictures[0].files
        assert [(Path(file.path), file.there) for file in files] == [(second, True), (kept, False)]
    finally:
        aside.rename(kept)
